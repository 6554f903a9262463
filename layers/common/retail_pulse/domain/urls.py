"""The limits of an image URL."""

# UTF-8 bytes of a URL that a client submits.
MAX_URL_BYTES = 2048
# Bytes of a redirect's Location: what every server and client should support (RFC 9110, section 4.1).
MAX_LOCATION_BYTES = 8000
