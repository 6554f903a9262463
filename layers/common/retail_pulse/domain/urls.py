"""The limit of an image URL."""

# UTF-8 bytes, for a URL that a client submits and for the target of a redirect.
MAX_URL_BYTES = 2048
