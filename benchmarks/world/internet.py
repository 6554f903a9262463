"""Image servers that imitate the internet: several distant TLS hosts, over connections of limited bandwidth.

They run in their own process on 127.0.0.1 to 127.0.0.8, with certificates of a temporary authority.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme

from benchmarks.harness.processes import served_by_new_process
from local.images.server import ImageServer, Pause, head, in_pieces

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

    Every host serves the nth picture at ``/n``, over a connection as the line describes; yield the hosts' base URLs.
    """
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        certificate = Path(folder) / "server.pem"
        authority.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(certificate)
        bundle = Path(folder) / "bundle.pem"
        bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        with _trusting(bundle), served_by_new_process(_serving, str(certificate), list(pictures), line) as urls:
            yield urls


@contextmanager
def _trusting(bundle: Path) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(SSL_CERT_FILE=str(bundle), REQUESTS_CA_BUNDLE=str(bundle))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _serving(certificate: str, pictures: Sequence[bytes], line: Line) -> Iterator[list[str]]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    size = int(line.bytes_per_second * _TICK_SECONDS)
    with ExitStack() as stack:
        servers = [stack.enter_context(ImageServer(host=host, tls=tls)) for host in HOSTS]
        for number, picture in enumerate(pictures):
            content = head(len(picture)) + picture
            pieces = in_pieces(content, size, _TICK_SECONDS) if size else [content]
            for server in servers:
                server.script(f"/{number}", [Pause(line.wait), *pieces])
        yield [server.url("") for server in servers]
