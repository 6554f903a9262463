"""The submission that is shown to whoever starts a stack."""

import shlex

_BODY = (
    '{"count":1,"visits":[{"store_id":"S00339218","image_url":["https://www.gstatic.com/webp/gallery/2.jpg"],'
    '"visit_time":"time of store visit"}]}'
)


def submit_command(url: str, key: str) -> str:
    """Return the command line that submits a job to a stack with a key."""
    headers = ["-H", f"x-api-key: {key}", "-H", "content-type: application/json"]
    return shlex.join(["curl", f"{url}/api/submit", *headers, "-d", _BODY])
