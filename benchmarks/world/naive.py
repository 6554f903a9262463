"""What the service is compared with: the same work, written in the way that comes to mind first."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from benchmarks.world.clients import AT_ONCE, plain_size
from local.emulator.emulator import AWS_VARIABLES
from local.lambda_host.table import TABLE, create_queue, create_table

# The most that one call accepts.
_ITEMS, _MESSAGES = 25, 10
_T = TypeVar("_T")


class Naive:
    """An item per image, and a message per image: ``with made_in_new_process(Naive, url) as naive``.

    Parameters
    ----------
    endpoint_url
        The AWS endpoint. The table and the queue are created there.
    """

    def __init__(self, endpoint_url: str) -> None:
        os.environ.update(AWS_VARIABLES | {"AWS_ENDPOINT_URL": endpoint_url})
        self._dynamodb = boto3.client("dynamodb", config=Config(max_pool_connections=AT_ONCE))
        self._sqs = boto3.client("sqs")
        create_table(self._dynamodb)
        self._queue = create_queue(self._sqs)
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._numbers = count()

    def process(self, urls: Sequence[str]) -> float:
        """Measure images and write an item for each, many at once; return the processor time."""
        job, begin = next(self._numbers), time.process_time()
        list(self._pool.map(lambda number: self._process_image(job, number, urls[number]), range(len(urls))))
        return time.process_time() - begin

    def submit(self, body: str) -> float:
        """Write an item and a message for each image of a job, in full batches; return the processor time."""
        job, begin = next(self._numbers), time.process_time()
        visits = json.loads(body)["visits"]
        images = [(visit["store_id"], url) for visit in visits for url in visit["image_url"]]
        for batch in _batches(enumerate(images), _ITEMS):
            items = [_item(job, number, store_id={"S": store}, url={"S": url}) for number, (store, url) in batch]
            self._dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items]})
        for numbers in _batches(range(len(images)), _MESSAGES):
            bodies = {str(each): json.dumps({"job": job, "image": each}) for each in numbers}
            self._sqs.send_message_batch(
                QueueUrl=self._queue, Entries=[{"Id": each, "MessageBody": text} for each, text in bodies.items()]
            )
        return time.process_time() - begin

    def _process_image(self, job: int, number: int, url: str) -> None:
        width, height = plain_size(url)
        item = _item(job, number, url={"S": url}, width={"N": str(width)}, height={"N": str(height)})
        self._dynamodb.put_item(TableName=TABLE, Item=item)


def _item(job: int, number: int, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": f"IMAGE#{job}"}, "sk": {"S": str(number)}, **attributes}


def _batches(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
