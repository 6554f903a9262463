"""Errors that the stand-in returns, with AWS's names."""

from typing import Any


class RefusedError(Exception):
    """An error response: AWS's name such as ``ValidationException``, the message, and other fields of the response."""

    def __init__(self, code: str, text: str, **more: Any) -> None:
        self.code, self.text, self.more = code, text, more
        super().__init__(f"{code}: {text}")


def invalid(text: str) -> RefusedError:
    """Return the error of an invalid request to DynamoDB."""
    return RefusedError("ValidationException", text)
