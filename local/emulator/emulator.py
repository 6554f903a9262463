"""ministack, the AWS emulator, inside the process of the stack.

ministack reads its settings when it is imported, so `environment` returns the environment of the process that imports
it. For everything without a setting, the functions here patch internals of version 1.5.33, which the lock pins.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any, cast

from local.emulator import fair_queue, permissions, transforms
from local.emulator.callers import Callers
from local.emulator.descriptors import limit_descriptors
from local.emulator.gateway import App

STACK_NAME = "retail-pulse-local"
REGION = "us-east-1"
# For what calls no stack, because AWS SDKs want credentials; a stack draws its own, see callers.py.
PLACEHOLDER = "none"


def credentials(secret: str) -> dict[str, str]:
    """Return the variables of the local account's root credentials: a stack's secret, for both keys."""
    return {"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_ACCESS_KEY": secret}


# The settings of AWS SDKs for the local account. The host's AWS files could name other endpoints and profiles.
AWS_VARIABLES = {
    **credentials(PLACEHOLDER),
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# What the functions' interpreter needs from the host. Everything else stays out: AWS credentials and settings, proxies
# (which would get the requests to 127.0.0.1), ministack's switches.
_FROM_HOST = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")


def environment(private: Path, state: Path | None, endpoint_url: str, secret: str) -> dict[str, str]:
    """Return the environment of a process that runs the emulator and will serve a URL to whoever has the secret.

    The emulator writes to the folder `private`, and its state to the folder `state`, if any, to keep it over restarts.
    """
    data = state or private / "state"
    keep = "1" if state else "0"
    return {
        **{name: os.environ[name] for name in _FROM_HOST if name in os.environ},
        # With the root's credentials; the functions get those of their roles.
        **AWS_VARIABLES,
        **credentials(secret),
        "PYTHONUNBUFFERED": "1",
        "BIND_HOST": "127.0.0.1",
        # Only used in queue URLs, which are keys of the kept state: with the real port, a stack that starts on another
        # port would not find its queues. Responses contain the host that the caller used.
        "GATEWAY_PORT": "4566",
        # For the functions' SDK clients.
        "AWS_ENDPOINT_URL": endpoint_url,
        "TMPDIR": str(private / "tmp"),
        "STATE_DIR": str(data),
        "S3_DATA_DIR": str(data / "s3"),
        # Both or neither: the deployed code is in S3.
        "PERSIST_STATE": keep,
        "S3_PERSIST": keep,
        # Unused listeners.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # Without Docker, even where it is installed.
        "DOCKER_HOST": "unix:///nonexistent",
        "LAMBDA_EXECUTOR": "local",
        # Check signatures and the policies of the functions' roles, see permissions.py.
        "AUTH": "true",
        "LOG_LEVEL": "INFO",
    }


def application(callers: Callers) -> App:
    """Import the emulator and return its ASGI application; let its functions call it."""
    from ministack import app
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sqs, sts

    # One line per service, of ninety services, would hide the lines that matter.
    for name in ("ministack", "persistence", "s3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The emulator writes log lines of queue consumers to its own log, and those of the API's functions only to its
    # CloudWatch. This puts all of them in one file.
    logging.getLogger("lambda").setLevel(logging.WARNING)
    logger = logging.getLogger("function")
    emit = lambda_svc._emit_lambda_logs

    def emit_and_log(func: dict[str, Any], request_id: str, text: str, *args: Any, **kwargs: Any) -> None:
        name = func.get("config", func).get("FunctionName")
        for line in (text or "").splitlines():
            logger.info("%s %s", name, line)
        emit(func, request_id, text, *args, **kwargs)

    lambda_svc._emit_lambda_logs = emit_and_log
    spawn = lambda_runtime.Worker._spawn

    def spawn_limited(worker: Any) -> None:
        # The stack itself needs more descriptors, and its children would inherit its limit.
        spawn(worker)
        limit_descriptors(worker._proc.pid)

    lambda_runtime.Worker._spawn = spawn_limited
    reserved = lambda_svc._reserved_concurrency

    def reserved_by_the_function(version: dict[str, Any], config: dict[str, Any]) -> int | None:
        # A version has no reservation of its own: that of its function holds for all of them.
        found: int | None = reserved(lambda_svc._functions.get(config["FunctionName"]) or version, config)
        return found

    lambda_svc._reserved_concurrency = reserved_by_the_function
    sts.register_session = callers.sessions(sts.register_session)
    # Both modules, because the second one has imported the name.
    derive = callers.role_credentials(lambda_runtime.execution_credentials)
    lambda_runtime.execution_credentials = lambda_svc.execution_credentials = derive
    sqs._collect_msgs = fair_queue.collecting(sqs._collect_msgs, time.time)
    permissions.correct()
    transforms.correct()
    return cast("App", app.app)


def stop_functions() -> None:
    """End all worker processes and start no more: messages stay in their queues until the next start.

    Blocks until the workers are gone, for at most two seconds.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sqs

    for mapping in list(lambda_svc._esms._data.values()):
        mapping["Enabled"] = False
    lambda_runtime.reset()
    # Make the messages that the workers had received visible again. Otherwise the next start would wait for the queue's
    # visibility timeout, which is minutes.
    now = time.time()
    for queue in list(sqs._queues._data.values()):
        for message in queue["messages"]:
            if message["receipt_handle"] is not None and message["visible_at"] > now:
                message["visible_at"] = now
