"""Errors that the stand-in returns, with AWS's names."""

from typing import Any


class RefusedError(Exception):
    """An error response.

    Parameters
    ----------
    code
        AWS's name for the error, such as ``ValidationException``.
    text
        The message.
    more
        Other fields of the response.
    """

    def __init__(self, code: str, text: str, **more: Any) -> None:
        self.code = code
        self.text = text
        self.more = more
        super().__init__(f"{code}: {text}")
