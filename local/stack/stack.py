"""The process of the stack: the emulator behind the gateway, the template deployed into it.

`local.stack.serve` starts it in a session of its own with an `Order` as its only argument, reads one `Report` from a
pipe, and ends it by closing its standard input. So it also ends when `local.stack.serve` is killed.
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
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import hypercorn.asyncio
from hypercorn.config import Config

from local.emulator import emulator
from local.emulator.clients import client
from local.emulator.deploy import DeployError, Deployment, deploy
from local.emulator.gateway import Gateway
from local.emulator.names import API_KEY, CLIENT
from local.emulator.template import TemplateError
from local.stack.messages import Order, Report
from retail_pulse.storage.api_keys_table import KeysTable

logger = logging.getLogger("stack")
_HEALTH_SECONDS = 30
_FILES = 10_240


class _NotHealthyError(RuntimeError):
    """The stack was deployed, but its functions do not answer; the log says why."""


async def _serve(order: Order, parent: int) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    gateway = Gateway(emulator.application())
    is_up = False

    def until_input_closes() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(stop.set)

    def bring_up() -> None:
        nonlocal is_up
        try:
            deployment = _deploy(order)
            loop.call_soon_threadsafe(gateway.open, deployment.api_id)
            _check_health(order.port)
            report = Report(deployment.outputs)
        except (DeployError, TemplateError, FileNotFoundError) as error:
            report = Report(None, str(error))
        except _NotHealthyError as error:
            report = Report(None, str(error), explained=False)
        except Exception as error:  # reported as one line; the log has the rest
            logger.exception("the stack could not be brought up")
            report = Report(None, f"{type(error).__name__}: {error}", explained=False)
        is_up = report.error is None
        os.write(order.report_fd, report.to_json().encode() + b"\n")
        if not is_up:
            loop.call_soon_threadsafe(stop.set)

    async def until_stopped() -> None:
        await stop.wait()
        gateway.close()
        await asyncio.to_thread(emulator.stop_functions)
        if not is_up:
            # Not by the way that saves the state: half a deployment is none, and what an earlier run has kept stands.
            _leave(order, parent)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Daemons: neither may keep a process alive that is to end.
    threading.Thread(target=until_input_closes, daemon=True).start()
    threading.Thread(target=bring_up, daemon=True).start()
    await hypercorn.asyncio.serve(gateway, _server_config(order.socket_fd), shutdown_trigger=until_stopped)  # type: ignore[arg-type]


def _deploy(order: Order) -> Deployment:
    # Requests wait in the socket's backlog until the server takes them, so there is nothing to wait for.
    endpoint_url = f"http://127.0.0.1:{order.port}"
    deployment = deploy(endpoint_url, Path(order.root), order.parameters)
    KeysTable(client("dynamodb", endpoint_url), deployment.outputs["TableName"]).issue(API_KEY, CLIENT)
    return deployment


def _check_health(port: int) -> None:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/api/health", timeout=_HEALTH_SECONDS) as answer:
            answer.read()
    except HTTPError as error:
        raise _NotHealthyError(f"GET /api/health answers {error.code}") from error


def _server_config(socket_fd: int) -> Config:
    config = Config()
    config.bind = [f"fd://{socket_fd}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.backlog = 1024
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2
    return config


def main() -> None:
    """Run the stack that the first argument orders."""
    order = Order.from_json(sys.argv[1])
    parent = os.getppid()
    # The functions' workers inherit the environment; they must find the package in the layer that was deployed.
    os.environ.pop("PYTHONPATH", None)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every connection and every worker takes some; where there is no limit at all, not every system takes that for one.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if most == resource.RLIM_INFINITY else most, most))
    asyncio.run(_serve(order, parent))
    _leave(order, parent)


def _leave(order: Order, parent: int) -> NoReturn:
    if os.getppid() != parent:
        # Nobody is left to clear up behind this process.
        shutil.rmtree(order.private, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    # The emulator's threads may wait for functions that have ended; an ordinary exit would wait for them.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
