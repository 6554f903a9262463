"""Makes a server on 127.0.0.1 of this machine reachable from containers.

Docker gives a container the host's address under any name. With Docker Desktop that leads to 127.0.0.1. On Linux it
leads to the bridge's address on the host, where nothing listens. A relay accepts connections on that address, which
only containers and this machine can reach, and forwards them.
"""

import contextlib
import errno
import ipaddress
import json
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer

# The embedded stack accepts only host names of this machine, as a protection against web pages with their own names.
# Two letters, because the emulator reads three or more before `.localhost` as the name of an S3 bucket.
NAME = "pc.localhost"
ADD_HOST = f"{NAME}:host-gateway"
_BLOCK_BYTES = 1 << 16
# How often the server checks whether it should end.
_CHECK_SECONDS = 0.05


def bridge_address() -> str:
    """Return the host's address on Docker's default bridge; raise `CalledProcessError` if Docker does not report it."""
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    config = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
    # A daemon without a configured address takes the subnet's first one.
    return str(config.get("Gateway") or next(ipaddress.IPv4Network(config["Subnet"]).hosts()))


@contextlib.contextmanager
def relay(port: int, address: str) -> Iterator[str]:
    """Make a port of 127.0.0.1 reachable from containers under the same number; yield the base URL for containers.

    Where this machine does not have the address to listen on (Docker Desktop), there is nothing to do.

    Raises
    ------
    OSError
        Another program listens on the port of that address.
    """
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(_Server((address, port), _Connection))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            threading.Thread(target=server.serve_forever, args=(_CHECK_SECONDS,), daemon=True).start()
            stack.callback(server.shutdown)
        yield f"http://{NAME}:{port}"


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 1024
    daemon_threads = True


class _Connection(BaseRequestHandler):
    def handle(self) -> None:
        caller: socket.socket = self.request
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", caller.getsockname()[1])) as server,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(caller, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, caller)
            # The end of one side ends the other: HTTP needs no half-closed connections.
            while True:
                for key, _ in selector.select():
                    block = key.fileobj.recv(_BLOCK_BYTES)  # type: ignore[union-attr]  # both are sockets
                    if not block:
                        return
                    key.data.sendall(block)
