"""Measurements of the embedded stack, by separate commands."""
