"""Log lines and metrics of the functions."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging import utils
from aws_lambda_powertools.metrics import MetricUnit

__all__ = ["Logger", "MetricUnit", "Metrics", "make_logger"]


def make_logger() -> Logger:
    """Return the function's logger; the package's own modules log through it too.

    The name and the level come from the environment (``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_LOG_LEVEL``). No line
    contains a URL, a key or a header, since URLs may be signed.
    """
    logger = Logger()
    utils.copy_config_to_registered_loggers(source_logger=logger, include={"retail_pulse"})
    return logger
