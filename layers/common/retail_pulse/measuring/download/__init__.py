"""Downloading an image over HTTP: allowed servers, connections, and bounded responses."""
