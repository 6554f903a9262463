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
from types import TracebackType
from typing import Self

# The embedded stack accepts only host names of this machine, as a protection against web pages with their own names.
# Two letters, because the emulator takes three or more before `.localhost` for the name of an S3 bucket.
NAME = "pc.localhost"
ADD_HOST = f"{NAME}:host-gateway"
_BLOCK_BYTES = 1 << 16


def bridge_address() -> str:
    """Return the host's address on Docker's default bridge.

    Raises
    ------
    subprocess.CalledProcessError
        Docker does not report it.
    """
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    config = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
    # A daemon without a configured address takes the subnet's first one.
    return str(config.get("Gateway") or next(ipaddress.IPv4Network(config["Subnet"]).hosts()))


class Relay:
    """Makes a port of 127.0.0.1 reachable from containers under the same number; a context manager.

    Parameters
    ----------
    port
        Where the server listens on 127.0.0.1.
    address
        The address to listen on. Where this machine does not have it (Docker Desktop), the relay does nothing.

    Raises
    ------
    OSError
        Another program listens on the port of that address.
    """

    def __init__(self, port: int, address: str) -> None:
        self._port = port
        self._listener: socket.socket | None = None
        try:
            self._listener = socket.create_server((address, port), backlog=1024)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise

    def __enter__(self) -> Self:
        if self._listener is not None:
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            # Wakes the thread that waits for connections; closing would not.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    @property
    def url(self) -> str:
        """Base URL for containers."""
        return f"http://{NAME}:{self._port}"

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(caller,), daemon=True).start()

    def _forward(self, caller: socket.socket) -> None:
        with (
            caller,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port)) as server,
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
