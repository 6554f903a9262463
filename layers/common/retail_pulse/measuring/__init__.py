"""From a URL to the size of an image: downloading, reading sizes, and what may go wrong."""
