"""Image servers that imitate the internet: several distant TLS hosts, over connections of limited bandwidth.

They run in their own process on 127.0.0.1 to 127.0.0.8, with certificates of a temporary authority.
"""

import asyncio
import contextlib
import multiprocessing
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import certifi
import trustme

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))
# How often a connection of limited bandwidth sends data.
_TICK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Line:
    """The connection to a server: seconds until an answer begins, and bytes per second, where 0 means no limit."""

    wait: float = 0.0
    bytes_per_second: int = 0


@contextmanager
def internet(pictures: Sequence[bytes], line: Line) -> Iterator[list[str]]:
    """Serve pictures from several TLS hosts, which this process and its children trust meanwhile.

    Parameters
    ----------
    pictures
        Every host serves the nth picture at ``/n``.
    line
        The connection to every host.

    Yields
    ------
    list of str
        Base URLs, one per host.
    """
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        certificate = Path(folder) / "server.pem"
        authority.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(certificate)
        bundle = Path(folder) / "bundle.pem"
        bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_run, args=(theirs, str(certificate), list(pictures), line), daemon=True)
        process.start()
        theirs.close()
        with _trusting(bundle):
            try:
                yield [f"https://{host}:{port}" for host, port in zip(HOSTS, ours.recv(), strict=True)]
            finally:
                ours.close()
                process.join(10)


@contextmanager
def _trusting(bundle: Path) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(SSL_CERT_FILE=str(bundle), REQUESTS_CA_BUNDLE=str(bundle))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(parent: Connection, certificate: str, pictures: Sequence[bytes], line: Line) -> None:
    asyncio.run(_serve(parent, certificate, pictures, line))


async def _serve(parent: Connection, certificate: str, pictures: Sequence[bytes], line: Line) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client disconnects once it has what it needs.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(line.wait)
                await _answer(writer, pictures[_path(request)], line.bytes_per_second)
        writer.close()

    ports = []
    for host in HOSTS:
        server = await asyncio.start_server(talk, host, 0, ssl=context, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    parent.send(ports)
    # Readable once the parent has closed its end.
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(parent.fileno(), ended.set)
    await ended.wait()
    os._exit(0)


def _path(request: bytes) -> int:
    return int(request.split(b" ", 2)[1].partition(b"?")[0].lstrip(b"/") or b"0")


async def _answer(writer: asyncio.StreamWriter, picture: bytes, bytes_per_second: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(picture))
    piece = int(bytes_per_second * _TICK_SECONDS) or len(picture)
    for start in range(0, len(picture), piece):
        if start:
            await asyncio.sleep(_TICK_SECONDS)
        writer.write(picture[start : start + piece])
        await writer.drain()
