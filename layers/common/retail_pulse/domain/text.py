"""Texts from outside: numbers in them, and what is safe to print and to log."""

MAX_MESSAGE_CHARACTERS = 300


def decimal(text: str, max_digits: int) -> int | None:
    """Read an integer of decimal digits; None for any other text, and for more digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= max_digits else None


def printable(text: str) -> str:
    """Return the text with unprintable characters (control characters, lone surrogates) replaced by ``?``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def client_message(text: str) -> str:
    """Return a message that is safe to store, log and show: printable, and cut at 300 characters."""
    return printable(text)[:MAX_MESSAGE_CHARACTERS]
