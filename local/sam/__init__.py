"""The service on the real SAM CLI and Docker, with the embedded stack's table and queue."""
