"""URLs of images and of redirects, read so that what was written is what is asked for.

Only what cannot stand in a request line is escaped: spaces, what is not ASCII, and the characters that browsers escape
by the URL standard's path and query sets (https://url.spec.whatwg.org/#percent-encoded-bytes). The single quote is not
escaped, unlike by browsers: it is a legal character (RFC 3986), and a signature may cover it. No escape is decoded,
changed or escaped again. Dot segments are removed as browsers and curl do it, but not if they are escaped.
"""

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.urls import MAX_LOCATION_BYTES, MAX_URL_BYTES

_BLANKS = " \t\r\n\f"
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
# Scheme, authority, path and query; what follows is the fragment. `re.A`: a long s is not an s.
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?", re.A | re.I)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*))(?::(0*[0-9]{1,5})?)?")
# A registered name (RFC 3986, section 3.2.2): real hosts have underscores, and the resolver refuses the rest.
_NAME = re.compile(r"(?:[a-z0-9_~!$&'()*+,;=-]{1,63}\.)*[a-z0-9_~!$&'()*+,;=-]{1,63}\.?")
_MAX_NAME = 254
_MAX_LABEL = 63
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# What is escaped: all but visible ASCII, and "<>^`{} in a path, "<> in a query.
_NOT_IN_PATH = re.compile(r"[^!#-;=?-\]_a-z|~]+")
_NOT_IN_QUERY = re.compile(r"[^!#-;=?-~]+")
_BEYOND_ASCII = re.compile(r"[\x80-\xff]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Escaped, each byte of a Location takes three; the rest is for what a relative one keeps of the URL before it.
_MAX_REDIRECTED_BYTES = 4 * MAX_LOCATION_BYTES


def _invalid(message: str = "invalid URL") -> MeasuringError:
    return MeasuringError(FailureCode.INVALID_URL, message)


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL asks for.

    Parameters
    ----------
    scheme
        ``http`` or ``https``.
    host
        An ASCII name in lower case, mapped by UTS 46, or an address in its usual form: IPv4 with four decimals, IPv6
        without brackets.
    port
        0 to 65535.
    path
        Path and query as they stand in the request line: visible ASCII, starting with a slash.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, *, redirected: bool = False) -> Self:
        """Read a URL.

        Parameters
        ----------
        url
            As a client wrote it, or as `redirect_url` returned it.
        redirected
            Whether it comes from `redirect_url`, and may be longer.

        Raises
        ------
        MeasuringError
            `invalid_url`: the URL is not http or https, is too long, has no host or an invalid one, or contains
            credentials, backslashes or control characters.
        """
        url = url.strip(_BLANKS)
        limit = _MAX_REDIRECTED_BYTES if redirected else MAX_URL_BYTES
        # A character has at most four bytes, so most URLs need not be encoded.
        if len(url) * 4 > limit and len(url.encode(errors="replace")) > limit:
            raise _invalid(f"the URL is longer than {limit:,} bytes")
        return cls(*_read(url))

    @property
    def host_header(self) -> str:
        """The value of the Host header: with the port unless it is the scheme's own."""
        host = _bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def key(self) -> str:
        """The name of the server for `Hosts`: with the port unless it is 80 or 443."""
        host = _bracketed(self.host.removesuffix("."))
        return host if self.port in (80, 443) else f"{host}:{self.port}"


# Kept for a moment: the host is looked up first, to wait for its turn, and then the URL is requested.
@lru_cache(maxsize=256)
def _read(url: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of a URL, as in `Target`."""
    if _REFUSED.search(url):
        raise _invalid("the URL contains backslashes or control characters")
    parts = _URL.match(url)
    if parts is None:
        raise _invalid("the URL does not start with http:// or https://")
    scheme, authority, path, query = parts.groups()
    scheme = scheme.lower()
    host, port = read_authority(authority)
    try:
        path = _NOT_IN_PATH.sub(_escape, _without_dots(path or "/"))
        if query:
            path += _NOT_IN_QUERY.sub(_escape, query)
    except UnicodeError as error:
        raise _invalid() from error
    return scheme, host, _DEFAULT_PORTS[scheme] if port is None else port, path


def host_key(url: str) -> str:
    """Return the `Target.key` of a URL or a redirected one; empty if it is invalid."""
    try:
        return Target.parse(url, redirected=True).key
    # The first name beyond ASCII imports a module, for which there may be no file descriptor. The fetcher reports it.
    except (MeasuringError, OSError):
        return ""


def redirect_url(base: Target, location: str) -> str:
    """Return the URL that a redirect leads to, as browsers read it, for `Target.parse`.

    Parameters
    ----------
    base
        What was asked for.
    location
        The Location as it came, decoded as Latin-1; several of them are joined by a comma and a space.

    Raises
    ------
    MeasuringError
        `invalid_url`: the Location is too long.
    """
    text = _once(location.strip(_BLANKS))
    if len(text) > MAX_LOCATION_BYTES:
        raise _invalid(f"{base.host} redirects to a URL longer than {MAX_LOCATION_BYTES:,} bytes")
    # The bytes beyond ASCII may be in any encoding.
    text = _BEYOND_ASCII.sub(lambda byte: f"%{ord(byte[0]):02X}", text).partition("#")[0]
    named = _SCHEME.match(text)
    scheme, rest = (named[1].lower(), text[named.end() :]) if named else (base.scheme, text)
    if scheme not in _DEFAULT_PORTS:
        return text
    if rest.startswith("//") or scheme != base.scheme:
        return f"{scheme}://{rest.lstrip('/')}"
    return f"{scheme}://{base.host_header}{_resolved(base.path, rest)}"


def _resolved(path: str, reference: str) -> str:
    """Return path and query of a reference, relative to a path with its query; see RFC 3986, section 5.2.2."""
    if not reference:
        return path
    if reference.startswith("/"):
        return reference
    path = path.partition("?")[0]
    return path + reference if reference.startswith("?") else f"{path.rpartition('/')[0]}/{reference}"


def _once(text: str) -> str:
    """Return a Location that a server sent several times, and so joined by commas, once."""
    joined = text + ", "
    # A text of equal parts is found in its double after the first part.
    return joined[: (joined + joined).find(joined, 1) - 2] if ", " in text else text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def read_authority(authority: str) -> tuple[str, int | None]:
    """Return the host and the port of a URL's authority, None without a port.

    Raises
    ------
    MeasuringError
        `invalid_url`: the host is missing or invalid, the port is invalid, or the URL contains credentials.
    """
    user, _, authority = authority.rpartition("@")
    if user:
        raise _invalid("the URL contains a user name or password")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _invalid()
    address, name, port = parts.groups()
    number = int(port.lstrip("0") or "0") if port else None
    if number is not None and number > 65535:
        raise _invalid()
    if address is None:
        return _host(name), number
    try:
        return str(IPv6Address(address)), number
    except ValueError as error:
        raise _invalid() from error


def _host(text: str) -> str:
    """Return a host name in ASCII and lower case, or an IPv4 address in any notation as four decimals."""
    name = text.lower() if text.isascii() and "%" not in text else _mapped(text)
    if not name:
        raise _invalid("the URL has no host")
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise _invalid(f"invalid host name: {text!r}")
    dotless = name.removesuffix(".")
    if not _NUMBER.fullmatch(dotless.rpartition(".")[2]):
        return name
    try:
        # The resolver reads all of these as addresses: 127.1, 0x7f.1, 017700000001, 2130706433.
        return socket.inet_ntoa(socket.inet_aton(dotless))
    except OSError as error:
        raise _invalid(f"invalid host name: {text!r}") from error


def _mapped(text: str) -> str:
    """Return a host name that is escaped or not ASCII as it is in DNS: mapped by UTS 46, with ``xn--`` labels.

    `idna.encode` would also apply IDNA 2008, which refuses names that browsers reach, such as those with emoji.
    """
    # Loading its tables takes time, and most workers never meet such a name.
    import idna

    try:
        labels = idna.uts46_remap(unquote_to_bytes(text).decode(), std3_rules=False).split(".")
        return ".".join(label if label.isascii() else _punycode(label) for label in labels)
    except UnicodeError as error:
        raise _invalid(f"invalid host name: {text!r}") from error


def _punycode(label: str) -> str:
    # Encoding takes quadratic time. What has more characters is too long for DNS in any case.
    return f"xn--{label[:_MAX_LABEL].encode('punycode').decode()}"


def _without_dots(path: str) -> str:
    """Return a path without its segments ``.`` and ``..`` (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _escape(run: re.Match[str]) -> str:
    return quote(run[0], safe="")
