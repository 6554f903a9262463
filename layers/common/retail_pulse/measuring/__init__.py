"""From a URL to the size of an image: downloading it and reading its size."""
