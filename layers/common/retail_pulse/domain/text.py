"""Text that is safe to print and to log."""

MAX_MESSAGE_CHARACTERS = 300


def printable(text: str) -> str:
    """Return the text with unprintable characters (control characters, lone surrogates) replaced by ``?``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def client_message(text: str) -> str:
    """Return a message that is safe to store, log and show: printable, and cut at 300 characters."""
    return printable(text)[:MAX_MESSAGE_CHARACTERS]
