"""Whether the pixels of a picture can be decoded. Pillow decodes them in a process of its own.

Decoders are native code for files of strangers. Within the function, nothing could end one of them at a deadline,
bound its memory, or survive its crash.
"""

import os
import socket
import subprocess
import sys
import threading
from tempfile import SpooledTemporaryFile

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import held, seconds_left
from retail_pulse.measuring.formats import decoding

# What the worker takes with 100 threads, and the process without a picture.
_RESERVED_MEGABYTES = 192
_MIN_MEGABYTES = 32
# For one picture, so that a few hostile ones do not keep all others waiting.
_MAX_SECONDS = 5
# Lambda's Python finds its own library by this one.
_ENVIRONMENT = ("LD_LIBRARY_PATH",)
_NULL = subprocess.DEVNULL


class PixelCheck:
    """Decodes pictures, one at a time. One instance serves all threads; its process starts with the first picture.

    Parameters
    ----------
    megabytes
        The memory of the function. Larger pictures than fit into it are not checked.
    """

    def __init__(self, megabytes: int) -> None:
        self._max_bytes = 1024 * 1024 * max(_MIN_MEGABYTES, megabytes - _RESERVED_MEGABYTES)
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @staticmethod
    def reads(name: str) -> bool:
        """Return whether Pillow may decode this format."""
        return name != "HEIC"

    def check(self, file: SpooledTemporaryFile[bytes], name: str) -> None:
        """Decode the first picture of a complete file.

        Raises
        ------
        MeasuringError
            The pixels are damaged; or, transient, the process does not start or is busy until the deadline.
        """
        try:
            with held(self._turn):
                answer = self._ask(file.fileno(), name)
        # The deadline has passed, or descriptors or disk space are short.
        except OSError as error:
            raise _busy("the pixel check is busy") from error
        if answer == decoding.DAMAGED:
            raise MeasuringError(FailureCode.DAMAGED, f"the pixels of the {name} cannot be decoded")

    def close(self) -> None:
        """End the process; the next check starts another one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None

    def _ask(self, descriptor: int, name: str) -> bytes:
        """Return the answer; it is empty if a file takes longer than the deadline or ends the process."""
        requests = self._requests()
        answer = b""
        try:
            requests.settimeout(seconds_left(_MAX_SECONDS))
            socket.send_fds(requests, [name.encode()], [descriptor])
            answer = requests.recv(1)
        except OSError:
            pass
        if not answer:
            self.close()
        return answer

    def _requests(self) -> socket.socket:
        """Return the socket of the process, which is started if there is none that lives."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        return self._socket or self._start()

    def _start(self) -> socket.socket:
        arguments = [sys.executable, "-I", "-S", decoding.__file__, os.pathsep.join(sys.path), str(self._max_bytes)]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._socket, theirs = socket.socketpair()
        answer = b""
        try:
            with theirs:
                self._process = subprocess.Popen(
                    arguments, stdin=theirs.fileno(), stdout=_NULL, stderr=_NULL, env=environment
                )
            self._socket.settimeout(seconds_left(_MAX_SECONDS))
            answer = self._socket.recv(1)
        except OSError:
            pass
        if answer != decoding.READY:
            self.close()
            raise _busy("the pixel check does not start")
        return self._socket


def _busy(message: str) -> MeasuringError:
    return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True, costs_attempt=False)
