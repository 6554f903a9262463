"""Text that is safe to print and to log."""


def printable(text: str) -> str:
    """Return the text with unprintable characters (control characters, lone surrogates) replaced by ``?``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
