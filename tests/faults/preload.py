"""What the fork server imports once for all workers: the functions' packages, but nothing that reads settings."""

import boto3
import pydantic
import requests
from aws_lambda_powertools import event_handler, utilities
from PIL import Image

from retail_pulse.api import submit_body
from retail_pulse.measuring import fetch
from retail_pulse.storage import jobs_table, queue
from retail_pulse.use_cases import image_pool, processing, reprocessing, submission
from tests.faults import worker

__all__ = [
    "Image",
    "boto3",
    "event_handler",
    "fetch",
    "image_pool",
    "jobs_table",
    "processing",
    "pydantic",
    "queue",
    "reprocessing",
    "requests",
    "submission",
    "submit_body",
    "utilities",
    "worker",
]  # fmt: skip
