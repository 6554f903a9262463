"""The process of the stack: the emulator with the template deployed into it, served by way of the gateway.

`Supervisor` starts it in its own session with an `Order` as the only argument, reads one `Report` from a pipe, and ends
it by closing its standard input. So it also ends when the supervisor's process is killed.
"""

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import hypercorn.asyncio
from hypercorn.config import Config

from local.emulator import emulator
from local.emulator.callers import Callers
from local.emulator.clients import client
from local.emulator.deploy import DeployError, Deployment, deploy
from local.emulator.gateway import Gateway
from local.emulator.template import TemplateError
from local.stack.messages import Order, Report, StackInfo
from retail_pulse.storage.api_keys_table import ApiKeysTable

logger = logging.getLogger("stack")
_CLIENT = "local"
_HEALTH_SECONDS = 30
_FILES = 10_240


class _NotHealthyError(RuntimeError):
    """The stack was deployed, but its functions do not answer; the log says why."""


async def _serve(order: Order, parent: int) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    callers = Callers(_secret())
    gateway = Gateway(emulator.application(callers), callers.admits)
    is_up = False

    def stop_when_input_closes() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(stop.set)

    def start() -> None:
        nonlocal is_up
        report = _start(order, parent, lambda api_id: loop.call_soon_threadsafe(gateway.open, api_id))
        is_up = report.info is not None
        os.write(order.report_fd, report.to_json().encode() + b"\n")
        if not is_up:
            loop.call_soon_threadsafe(stop.set)

    async def until_stopped() -> None:
        await stop.wait()
        gateway.close()
        await asyncio.to_thread(emulator.stop_functions)
        if not is_up:
            # An ordinary end would save the state: a partial deployment over what an earlier run has kept.
            _leave(order, parent)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Daemons, because neither thread may keep the process alive.
    threading.Thread(target=stop_when_input_closes, daemon=True).start()
    threading.Thread(target=start, daemon=True).start()
    await hypercorn.asyncio.serve(gateway, _server_config(order.socket_fd), shutdown_trigger=until_stopped)  # type: ignore[arg-type]


def _start(order: Order, parent: int, open_gateway: Callable[[str], object]) -> Report:
    """Deploy the template and check the API's health; return the report."""
    # Requests wait in the socket's backlog until the server accepts them, so the deployment need not wait for it.
    url = f"http://127.0.0.1:{order.port}"
    try:
        deployment = deploy(url, _secret(), Path(order.root), order.parameters)
        info = _info(order, parent, url, deployment)
        ApiKeysTable(client("dynamodb", url, info.secret), info.table_name).issue(info.api_key, _CLIENT)
        open_gateway(deployment.api_id)
        _check_health(url)
    except (DeployError, TemplateError, FileNotFoundError) as error:
        return Report(None, str(error))
    except _NotHealthyError as error:
        return Report(None, str(error), show_log=True)
    except Exception as error:  # the report has one line, the log the rest
        logger.exception("the stack could not be started")
        return Report(None, f"{type(error).__name__}: {error}", show_log=True)
    return Report(info)


def _info(order: Order, parent: int, url: str, deployment: Deployment) -> StackInfo:
    outputs = deployment.outputs
    return StackInfo(
        url=url,
        endpoint_url=url,
        secret=_secret(),
        api_key=order.parameters["LocalKey"],
        stack_name=emulator.STACK_NAME,
        table_name=outputs["TableName"],
        # The host of the emulator's queue URLs is not a real one, see emulator.py.
        queue_url=url + urlsplit(outputs["QueueUrl"]).path,
        dead_letter_queue_url=url + urlsplit(outputs["DeadLetterQueueUrl"]).path,
        pid=parent,
        region=emulator.REGION,
        log=order.log,
    )


def _secret() -> str:
    # Not in the order: all users of the machine see the arguments of a process, and only its own user its variables.
    return os.environ["AWS_ACCESS_KEY_ID"]


def _check_health(url: str) -> None:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url}/api/health", timeout=_HEALTH_SECONDS) as answer:
            answer.read()
    except HTTPError as error:
        raise _NotHealthyError(f"GET /api/health returned {error.code}") from error


def _server_config(socket_fd: int) -> Config:
    config = Config()
    config.bind = [f"fd://{socket_fd}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.backlog = 1024
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2
    return config


def main() -> None:
    """Run the stack as the first argument orders."""
    order = Order.from_json(sys.argv[1])
    parent = os.getppid()
    # The functions' workers inherit the environment; they must find the shared package in the deployed layer.
    os.environ.pop("PYTHONPATH", None)
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every connection and every worker takes descriptors. Some systems refuse "unlimited" as a soft limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if limit == resource.RLIM_INFINITY else limit, limit))
    asyncio.run(_serve(order, parent))
    _leave(order, parent)


def _leave(order: Order, parent: int) -> NoReturn:
    if os.getppid() != parent:
        # The supervisor's process has died, so this one cleans up.
        shutil.rmtree(order.private, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    # An ordinary exit would wait for the emulator's threads, which may wait for functions that have ended.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
