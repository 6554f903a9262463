"""Ports of 127.0.0.1."""

import errno
import socket


class PortError(RuntimeError):
    """A port cannot be listened on; the text says why, in one line."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of 127.0.0.1; 0 takes a free one.

    Raises
    ------
    PortError
        Another program listens there, or it is no port.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port whose connections have just ended is free; one with a listener is refused all the same.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortError(f"port {port} is in use; choose another one") from None
        raise PortError(f"port {port}: {error}") from None
    return listener


def free_port(port: int = 0) -> int:
    """Return a port that nobody listens on: the given one, or for 0 one that the system chooses, high up.

    Raises
    ------
    PortError
        The given one is in use.
    """
    with listen(port) as listener:
        return int(listener.getsockname()[1])
