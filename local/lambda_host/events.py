"""The events that AWS sends to functions."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from local.checkout import ROOT
from local.emulator.emulator import REGION

_RECORDED = ROOT / "tests" / "events"

Event = dict[str, Any]


def event(name: str) -> Event:
    """Return the recorded event of a function, by the function's folder in functions/."""
    recorded: Event = json.loads((_RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return recorded


def authorizer_event(key: str) -> Event:
    """Return the event of API Gateway for its authorizer, with an API key."""
    sent = event("authorize")
    sent["headers"]["x-api-key"] = key
    return sent | {"identitySource": [key]}


def api_event(
    method: str,
    path: str,
    *,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Event:
    """Return the event of API Gateway for a request, in payload version 2.0, after the authorizer has let it in.

    A body of bytes arrives in Base64. The headers are in addition to the recorded ones.
    """
    sent = event("submit" if method == "POST" else "status")
    sent["headers"] |= headers or {}
    sent["requestContext"]["http"] |= {"method": method, "path": path}
    sent |= {
        "rawPath": path,
        "rawQueryString": urlencode(query or {}, errors="replace"),
        "queryStringParameters": dict(query or {}),
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }
    # API Gateway leaves out what a request does not have.
    return {name: value for name, value in sent.items() if value not in (None, {})}


def sqs_event(messages: Sequence[Mapping[str, Any]], queue_url: str) -> Event:
    """Return the event of an SQS event source for messages from ReceiveMessage.

    See "Amazon SQS standard queue event" on https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
    """
    account, name = queue_url.rsplit("/", 2)[1:]
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{account}:{name}",
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
