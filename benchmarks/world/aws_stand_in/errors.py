"""What the stand-in refuses, in AWS's words."""

from typing import Any


class RefusedError(Exception):
    """An answer that is an error.

    Parameters
    ----------
    code
        AWS's name of it, such as ``ValidationException``.
    text
        For people.
    more
        What the answer holds beside the text.
    """

    def __init__(self, code: str, text: str, **more: Any) -> None:
        self.code = code
        self.text = text
        self.more = more
        super().__init__(f"{code}: {text}")
