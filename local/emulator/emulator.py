"""ministack, the AWS emulator, inside the process of the stack.

ministack reads its settings when it is imported, so `environment` makes the environment of the process that imports it.
What else it needs to be told has no setting: those few functions reach into version 1.5.33, which the lock pins.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any, cast

from local.emulator import permissions
from local.emulator.gateway import App

STACK_NAME = "retail-pulse-local"
REGION = "us-east-1"
# Access key and secret key, which AWS SDKs require: the root credentials of the local account.
AWS_KEY = "local"

# What the functions' interpreter needs of the host. Everything else stays out: credentials and settings of AWS, proxies
# (they would be asked for 127.0.0.1), switches of ministack.
_FROM_HOST = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")


def environment(private: Path, state: Path | None, endpoint_url: str) -> dict[str, str]:
    """Return the environment of a process that runs the emulator.

    Parameters
    ----------
    private
        Folder for everything that it writes.
    state
        Folder that keeps its state over restarts, or None.
    endpoint_url
        Where it will be reached.
    """
    data = state or private / "state"
    keep = "1" if state else "0"
    return {name: os.environ[name] for name in _FROM_HOST if name in os.environ} | {
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": "127.0.0.1",
        # Only a name within queue URLs, which are keys of the kept state: with the real port in them, a stack that
        # starts on another port would not find its queues again. Answers carry the host that the caller has used.
        "GATEWAY_PORT": "4566",
        # What the functions' SDK clients call.
        "AWS_ENDPOINT_URL": endpoint_url,
        # Files of the host's AWS tools could name other endpoints and profiles.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "TMPDIR": str(private / "tmp"),
        "STATE_DIR": str(data),
        "S3_DATA_DIR": str(data / "s3"),
        # The two belong together: code that was deployed lies in S3.
        "PERSIST_STATE": keep,
        "S3_PERSIST": keep,
        # Listeners that nothing here needs.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # No Docker, even where there is one.
        "DOCKER_HOST": "unix:///nonexistent",
        "LAMBDA_EXECUTOR": "local",
        # Signatures and the policies of the functions' roles are checked, see permissions.py. These credentials are the
        # root's; the functions get those of their roles.
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": AWS_KEY,
        "AWS_SECRET_ACCESS_KEY": AWS_KEY,
        "LOG_LEVEL": "INFO",
    }


def application() -> App:
    """Import the emulator and return its ASGI application."""
    from ministack import app
    from ministack.services import lambda_svc

    # A line for each of its ninety services would hide the one that matters.
    for chatter in ("ministack", "persistence", "s3"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    # The emulator writes the lines of queue consumers to its own log, those of the API's functions to its CloudWatch
    # alone. All of them should be in one file.
    logging.getLogger("lambda").setLevel(logging.WARNING)
    logger = logging.getLogger("function")
    emit = lambda_svc._emit_lambda_logs

    def emit_and_log(func: dict[str, Any], request_id: str, text: str, *args: Any, **kwargs: Any) -> None:
        name = func.get("config", func).get("FunctionName")
        for line in (text or "").splitlines():
            logger.info("%s %s", name, line)
        emit(func, request_id, text, *args, **kwargs)

    lambda_svc._emit_lambda_logs = emit_and_log
    permissions.correct()
    return cast("App", app.app)


def stop_functions() -> None:
    """End every worker process and let nothing start one: what comes from a queue waits for the next start.

    Blocks until the workers are gone, two seconds at most.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sqs

    for mapping in list(lambda_svc._esms._data.values()):
        mapping["Enabled"] = False
    lambda_runtime.reset()
    # What the workers had in hands is nobody's now. Without this it would be invisible for the queue's whole visibility
    # timeout after the next start, which is minutes.
    now = time.time()
    for queue in list(sqs._queues._data.values()):
        for message in queue["messages"]:
            if message["receipt_handle"] is not None and message["visible_at"] > now:
                message["visible_at"] = now
