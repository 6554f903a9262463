"""The embedded stack: the real template on this machine, without an AWS account and without Docker."""
