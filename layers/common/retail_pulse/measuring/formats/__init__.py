"""Image files: their format, their size, and whether they are complete."""
