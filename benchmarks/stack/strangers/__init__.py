"""Attacks the embedded stack from the outside, as a client that shares it with another one does: ``make strangers``."""
