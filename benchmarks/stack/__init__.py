"""Measurements on the embedded stack, by commands of their own."""
