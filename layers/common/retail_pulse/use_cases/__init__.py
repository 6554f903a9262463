"""Use cases: what the service does for its callers, over the ports that each of them declares."""
