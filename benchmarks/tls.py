"""The processor time of the first request to a new host over TLS: one context for all, against requests as it is."""

import contextlib
import multiprocessing
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import certifi
import requests
import trustme

from benchmarks.downloads import LIMITS, LOOPBACK
from benchmarks.report import Figure, Section, Settings, Table, interleaved
from local.images import Format, make_image
from retail_pulse.measuring.fetch import Fetcher

_BOUND = 0.15
_HOSTS = [f"127.0.0.{number}" for number in range(1, 9)]


def measure(settings: Settings) -> Section:
    """Ask each of several hosts for one image, over a connection that is new."""
    with tempfile.TemporaryDirectory() as folder, _trusted_servers(Path(folder)) as urls:
        taken = interleaved({"ours": _ours(urls), "plain": _plain(urls)}, 3 if settings.quick else 11)
    ratio = taken["ours"] / taken["plain"]
    row = [f"{taken['ours'] * 1000:.2f}", f"{taken['plain'] * 1000:.2f}", f"{ratio:.3f}"]
    return Section(
        "A new host over TLS",
        f"{len(_HOSTS)} hosts with certificates of an authority that stands in one bundle with those of certifi; both "
        "clients verify. The processor time of the client alone, in turns, medians. `requests.get` reads the bundle "
        "for every host.",
        [Figure("CPU of a first request to a new TLS host against plain requests", ratio, _BOUND)],
        [Table("Processor time of a first request", ("measured (ms)", "requests.get (ms)", "ratio"), [row])],
    )


def _ours(urls: list[str]) -> Callable[[], float]:
    def run() -> float:
        # A worker makes one in its life; its connections are new in every turn.
        fetcher = Fetcher(LIMITS, LOOPBACK, len(urls))
        return _timed(fetcher.measure, urls)

    return run


def _plain(urls: list[str]) -> Callable[[], float]:
    return lambda: _timed(lambda url: requests.get(url, timeout=20).content, urls)


def _timed(call: Callable[[str], object], urls: list[str]) -> float:
    begin = time.process_time()
    for url in urls:
        call(url)
    return (time.process_time() - begin) / len(urls)


@contextmanager
def _trusted_servers(folder: Path) -> Iterator[list[str]]:
    authority = trustme.CA()
    authority.issue_cert(*_HOSTS).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, str(folder / "server.pem")), daemon=True)
    process.start()
    theirs.close()
    before = dict(os.environ)
    os.environ.update(SSL_CERT_FILE=str(bundle), REQUESTS_CA_BUNDLE=str(bundle))
    try:
        yield [f"https://{host}:{port}/" for host, port in zip(_HOSTS, ours.recv(), strict=True)]
    finally:
        os.environ.clear()
        os.environ.update(before)
        ours.close()
        process.join(10)


def _serve(parent: Connection, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    picture = make_image(Format.PNG, 20, 27)
    ports = []
    for host in _HOSTS:
        listener = socket.create_server((host, 0))
        ports.append(listener.getsockname()[1])
        threading.Thread(target=_answer, args=(listener, context, picture), daemon=True).start()
    parent.send(ports)
    with contextlib.suppress(EOFError):
        parent.recv()


def _answer(listener: socket.socket, context: ssl.SSLContext, picture: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(picture)}\r\nConnection: close\r\n\r\n".encode()
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secured:
            request = b""
            while b"\r\n\r\n" not in request and (block := secured.recv(4096)):
                request += block
            secured.sendall(head + picture)
