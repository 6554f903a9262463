"""An image as bytes: its format, its size, and whether it is complete."""
