"""Cases for the rules on which servers may be called: the 319 of `addresses.json`, and the project's own.

The latter are both ends of every reserved range of IPv4 and IPv6, in every notation of an address and by every way that
leads there, and tricks with names, ports, schemes and lists of hosts.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PUBLIC4, _PUBLIC6 = "93.184.216.34", "2606:4700::1111"
# Connecting to these is allowed in every case: the servers of `ok.test` and the like.
PUBLIC = frozenset({_PUBLIC4, _PUBLIC6, "198.41.0.4"})
_NAMES = {"ok.test": [[_PUBLIC4]], "evil.test": [["127.0.0.1"]], "localhost": [["127.0.0.1", "::1"]]}
_START = "http://ok.test/start"


@dataclass(frozen=True, slots=True)
class Case:
    """One URL, the network in which it is fetched, and the kind and name of the trick."""

    group: str
    name: str
    url: str
    expected: str = "refuse"  # or "allow"
    # The answers for each name, one per look-up; the last one repeats.
    resolver: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=lambda: dict(_NAMES))
    redirects: Sequence[tuple[int, str]] = ()  # status and Location of the responses before the image
    # As in production; "loopback" as on the local stack, "ports", "range", "hosts" or "own".
    policy: str = "strict"
    public_connect_ok: bool = False  # whether measuring the response of a public address is allowed
    dead: Sequence[str] = ()  # addresses that refuse the connection


def recorded() -> list[Case]:
    """Return the cases of `addresses.json`, unchanged."""
    found = json.loads((Path(__file__).parent / "addresses.json").read_text(encoding="utf-8"))
    return [Case(**{**case, "redirects": [tuple(redirect) for redirect in case["redirects"]]}) for case in found]


def own() -> list[Case]:
    """Return the project's own cases."""
    makers = (
        _ranges4, _ranges6, _zones, _neighbours, _runtime, _names, _ports, _userinfo, _idna, _schemes, _hosts,
        _own_names, _locations,
    )  # fmt: skip
    return [case for make in makers for case in make()]


def _redirect(group: str, name: str, location: str, expected: str = "refuse", **network: Any) -> Case:
    """Return a case whose first server redirects."""
    return Case(group, name, _START, expected, redirects=[(302, location)], **network)


# IANA's registries of special-purpose addresses, every entry that is not globally reachable, with multicast; and the
# address of Azure's WireServer.
_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/31", "192.0.2.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "255.255.255.255/32",
)  # fmt: skip
# The same for IPv6, and what is not assigned or embeds an IPv4 address.
_V6 = (
    "::/128", "::1/128", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "200::/7", "400::/6", "800::/5", "1000::/4", "2001::/23", "2001::/32", "2001:2::/48", "2001:10::/28",
    "2001:20::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/3", "5f00::/16", "6000::/3", "8000::/3",
    "a000::/3", "c000::/3", "e000::/4", "f000::/5", "f800::/6", "fc00::/7", "fe00::/9", "fe80::/10", "fec0::/10",
    "ff00::/8",
)  # fmt: skip


def _ways(address: str, group: str, forms: Mapping[str, str], expected: str) -> Iterator[Case]:
    """Yield every way to an address: written out, by name, by redirects to both, and by a name that changes."""
    names = {**_NAMES, "there.test": [[address]], "changing.test": [[_PUBLIC4], [address]]}
    for form, text in forms.items():
        yield Case(f"{group}, {form}", address, f"http://{text}/", expected)
    yield _redirect(f"{group}, redirect", address, f"http://{next(iter(forms.values()))}/", expected)
    yield Case(f"{group}, name", address, "http://there.test/", expected, names)
    yield Case(f"{group}, redirect to a name", address, _START, expected, names, [(307, "http://there.test/")])
    if expected == "refuse":
        hops = [(301, "http://changing.test/b")]
        yield Case(f"{group}, changing name", address, "http://changing.test/a", expected, names, hops)


def _ranges4() -> Iterator[Case]:
    for network in map(ipaddress.IPv4Network, _V4):
        for address in sorted({network[0], network[-1]}):
            number, parts = int(address), address.packed
            forms = {
                "dotted": str(address),
                "decimal": str(number),
                "hex": f"{number:#x}",
                "octal": f"0{number:o}" if number else "00",
                "dotted hex": ".".join(f"{part:#x}" for part in parts),
                "dotted octal": ".".join(f"0{part:o}" for part in parts),
                "short": f"{parts[0]}.{number & 0xFFFFFF}",
                "mapped": f"[::ffff:{address}]",
                "mapped, hex": f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]",
                "compatible": f"[::{address}]",
                "SIIT": f"[::ffff:0:{address}]",
                "NAT64": f"[64:ff9b::{address}]",
                "6to4": f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
                "ISATAP": f"[fe80::5efe:{address}]",
            }
            yield from _ways(str(address), "IPv4 range", forms, "refuse")


def _ranges6() -> Iterator[Case]:
    for network in map(ipaddress.IPv6Network, _V6):
        for address in sorted({network[0], network[-1]}):
            forms = {
                "short": f"[{address}]",
                "full, upper case": f"[{address.exploded.upper()}]",
                "with a zone": f"[{address}%25lo]",
            }
            yield from _ways(str(address), "IPv6 range", forms, "refuse")


def _zones() -> Iterator[Case]:
    # URL parsers disagree on zones: one accepts what another rejects.
    for address in ("::1", "fe80::1", "fd00:ec2::254", _PUBLIC6):
        for zone in ("%25x%25y", "%x%25y", "%25%25", "%2525", "%25", "%"):
            url = f"http://[{address}{zone}]/a.jpg"
            yield Case("IPv6, broken zones", zone, url, public_connect_ok=True)
            yield _redirect("IPv6, broken zones, redirect", zone, url, public_connect_ok=True)


def _neighbours() -> Iterator[Case]:
    """Yield addresses just outside a range, which must not be taken for reserved."""
    reserved4 = [ipaddress.IPv4Network(network) for network in _V4]
    ends = {end for net in reserved4 for end in (int(net[0]) - 1, int(net[-1]) + 1) if 0 < end < 1 << 32}
    for neighbour in map(ipaddress.IPv4Address, sorted(ends)):
        if not any(neighbour in network for network in reserved4):
            yield from _ways(str(neighbour), "public IPv4", {"dotted": str(neighbour)}, "allow")
    for text in (
        "2001:200::", "2001:db7:ffff::1", "2001:db9::1", "2003::", "2001:4860:4860::8888", "2400::1", "2606:4700::1",
        "2a00:1450::1", "2c0f::1", "3ffe:ffff::1",
    ):  # fmt: skip
        yield from _ways(text, "public IPv6", {"short": f"[{text}]"}, "allow")


def _runtime() -> Iterator[Case]:
    """Yield what a function can reach locally: Lambda's runtime API, and the endpoints with credentials."""
    for address, path in (
        ("127.0.0.1:9001", "/2018-06-01/runtime/invocation/next"), ("127.0.0.1:2000", "/"),
        ("169.254.169.254", "/latest/meta-data/iam/security-credentials/"), ("169.254.169.253", "/"),
        ("169.254.170.2", "/v2/credentials"), ("169.254.170.23", "/v1/credentials"), ("169.254.100.1", "/"),
        ("[fd00:ec2::254]", "/latest/meta-data/"), ("[fd00:ec2::23]", "/v1/credentials"), ("100.100.100.200", "/"),
    ):  # fmt: skip
        host, _, port = address.partition(":") if not address.startswith("[") else (address[1:-1], "", "")
        suffix = f":{port}" if port else ""
        names = {**_NAMES, "metadata.test": [[host]], "both.test": [[_PUBLIC4, host]]}
        for policy in ("strict", "ports"):
            group = "runtime and credentials" if policy == "strict" else "the same, any port allowed"
            for url, hops in (
                (f"http://{address}{path}", ()), (f"http://metadata.test{suffix}{path}", ()),
                (f"http://both.test{suffix}{path}", ()), (_START, [(302, f"http://{address}{path}")]),
                (_START, [(302, f"http://metadata.test{suffix}{path}")]), (_START, [(303, f"//{address}{path}")]),
            ):  # fmt: skip
                yield Case(group, f"{url} {hops}", url, resolver=names, redirects=hops, policy=policy)


def _names() -> Iterator[Case]:
    private = ("127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "64:ff9b::a00:1")
    for address in private:
        for answer in (
            [_PUBLIC4, address], [address, _PUBLIC6], [_PUBLIC4] * 4 + [address], [_PUBLIC4] * 15 + [address],
            [_PUBLIC6, address],
        ):  # fmt: skip
            names = {"mixed.test": [answer]}
            yield Case("names, mixed answers", str(answer), "http://mixed.test/", resolver=names)
        for count in range(1, 4):
            names = {"changing.test": [*[[_PUBLIC4]] * count, [address]]}
            name, hops = f"{address} after {count}", [(302, f"/{hop}") for hop in range(count)]
            yield Case("names, changing answers", name, "http://changing.test/", resolver=names, redirects=hops)
    for name in ("localhost", "LOCALHOST", "localhost.", "sandbox.localdomain", "nowhere.test", "a..test", "." * 3):
        yield Case("names, local or unknown", name, f"http://{name}/")
    names = {"ok.test": [[_PUBLIC6, _PUBLIC4]], "img-1.ok.test": [[_PUBLIC4]], "a" * 63 + ".test": [[_PUBLIC4]]}
    for name in ("ok.test", "OK.TEST", "ok.test.", "img-1.ok.test", "a" * 63 + ".test"):
        yield Case("names, public", name, f"http://{name}/", "allow", names)
    for dead in ([_PUBLIC6], ["198.41.0.4"], [_PUBLIC6, "198.41.0.4"]):
        names = {"ok.test": [[*dead, _PUBLIC4]]}
        yield Case("names, public", f"{dead} dead", "http://ok.test/", "allow", names, dead=dead)


def _ports() -> Iterator[Case]:
    for port in ("1", "21", "22", "25", "81", "444", "3306", "6379", "8080", "9001", "11211", "65535", "65536", "-1"):
        yield Case("ports", port, f"http://ok.test:{port}/")
        yield _redirect("ports", f"redirect to {port}", f"http://ok.test:{port}/")
    for port in ("80", "443", "", "080"):
        yield Case("ports", f"{port!r}", f"http://ok.test:{port}/", "allow")
    for port, expected in (("7999", "refuse"), ("8000", "allow"), ("8999", "allow"), ("9000", "refuse")):
        yield Case("ports, a range allowed", port, f"http://ok.test:{port}/", expected, policy="range")


def _userinfo() -> Iterator[Case]:
    for user in ("a", "a:b", ":", "", "127.0.0.1", "ok.test", "ok.test%2f", "ok.test:80", "a@b", "%61", "ok.test#"):
        for host in ("127.0.0.1", "evil.test", "ok.test", "[::1]"):
            url = f"http://{user}@{host}/"
            # After a number sign is the fragment, so the host is before it. An @ without a name before it has no user.
            expected = "allow" if user.endswith("#") or (user, host) == ("", "ok.test") else "refuse"
            yield Case("credentials", url, url, expected)
            yield _redirect("credentials", f"redirect {url}", url, expected)


def _idna() -> Iterator[Case]:
    names = {**_NAMES, "xn--bcher-kva.test": [[_PUBLIC4]], "xn--fa-hia.test": [[_PUBLIC4]], "k.test": [["10.0.0.1"]]}
    for host in (
        "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "ℓocalhost",
        "LOCALHOſT", "localhoﬆ", "ｅｖｉｌ.test", "evil。test", "EVIL.TEST", "ev\u00adil.test", "ev\u200bil.test",
        "K.test", "𝟏𝟐𝟕.0.0.1", "169.254.169.２５４", "１６９.254.169.254", "[::ｆｆｆｆ:127.0.0.1]", "[::１]",
        "0ｘ7f.1", "xn--", "xn--a.xn--b", "\u202elocalhost",
        "local\u2060host", "127.0.0.1\u3002", "\u0661\u0662\u0667.0.0.1",
    ):  # fmt: skip
        yield Case("IDNA and case", host, f"http://{host}/", resolver=names)
        yield _redirect("IDNA and case", f"redirect {host}", f"http://{host}/", resolver=names)
    for host in ("bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "XN--BCHER-KVA.TEST", "faß.test", "Ok.TeSt"):
        yield Case("IDNA and case", host, f"http://{host}/", "allow", names)


def _schemes() -> Iterator[Case]:
    for url in (
        "file:///etc/passwd", "FILE://localhost/etc/passwd", "ftp://ok.test/", "gopher://ok.test:70/_x",
        "data:image/gif,a", "javascript:alert(1)", "ws://ok.test/", "wss://ok.test/", "ldap://ok.test/",
        "sftp://ok.test/", "jar:http://ok.test!/", "view-source:http://ok.test/", "blob:http://ok.test/", "about:blank",
        "mailto:a@ok.test", "netdoc:///etc/passwd", "s3://bucket/key", "unix:/run/docker.sock", "httpss://ok.test/",
        "h://ok.test/", "ok.test/a.jpg", "",
    ):  # fmt: skip
        yield Case("schemes", url, url)
        # A Location without a scheme is a path, and an empty one is not a redirect.
        if "/" not in url.partition(":")[0] and url:
            yield _redirect("schemes", f"redirect {url}", url)
    for hops in ([(301, "HTTP://OK.test/")], [(302, "hTTp://ok.test/x")], [(308, "//ok.test/x")]):
        yield Case("schemes", str(hops), _START, "allow", redirects=hops)


def _hosts() -> Iterator[Case]:
    """Yield cases for the list ``img.example.test``, ``*.cdn.test`` and ``.shop.test``."""
    public = (
        "img.example.test", "a.cdn.test", "b.a.cdn.test", "x.shop.test", "cdn.test", "shop.test", "evilcdn.test",
        "example.test", "a.img.example.test", "a.cdn.test.evil.test", "img.example.test.evil.test", "ok.test",
        "imgxexample.test", "evil.cdn.test-x.test",
    )  # fmt: skip
    names = {name: [[_PUBLIC4]] for name in public}
    names |= {"private.cdn.test": [["10.0.0.1"]], "changing.cdn.test": [[_PUBLIC4], ["10.0.0.1"]]}
    listed = ("img.example.test", "IMG.Example.Test", "img.example.test.", "a.cdn.test", "b.a.cdn.test", "x.shop.test")
    inside = "http://a.cdn.test/start"
    others = (_PUBLIC4, f"[{_PUBLIC6}]", "127.0.0.1", "1572395042", "a.cdn.test@ok.test")
    for host in dict.fromkeys((*names, *listed, *others)):
        expected = "allow" if host in listed else "refuse"
        hops = [(302, f"http://{host}/")]
        if host != "changing.cdn.test":
            yield Case("list of hosts", host, f"http://{host}/", expected, names, policy="hosts")
        else:
            hops += [(302, "/again")]
        yield Case("list of hosts, redirect", host, inside, expected, names, hops, policy="hosts")


def _own_names() -> Iterator[Case]:
    """Yield cases for the service's own names ``api.test``, ``xn--bcher-kva.test``, ``port.test:443``, an address."""
    public = ("api.test", "xn--bcher-kva.test", "port.test", "img.api.test", "api.test.shop.test", "myapi.test")
    names = {**_NAMES, **{name: [[_PUBLIC4]] for name in public}}
    for host in (
        "api.test", "API.Test", "api.test.", "api.test:443", "ａｐｉ.test", "a\u00adpi.test", "%61pi.test",
        "api。test", "bücher.test", "BÜCHER.test.", "xn--bcher-kva.test", "port.test:443", "Port.test.:0443",
        "198.41.0.4",
    ):  # fmt: skip
        yield Case("own names", host, f"http://{host}/docs", resolver=names, policy="own")
        yield _redirect("own names, redirect", host, f"http://{host}/docs", resolver=names, policy="own")
    for host in ("img.api.test", "api.test.shop.test", "myapi.test", "port.test", _PUBLIC4, "ok.test/api.test"):
        yield Case("own names", host, f"http://{host}/", "allow", names, policy="own")
        yield _redirect("own names, redirect", host, f"http://{host}/", "allow", resolver=names, policy="own")


def _locations() -> Iterator[Case]:
    for location in (
        "///127.0.0.1/", "////127.0.0.1/", "/\\/127.0.0.1/", "\\/127.0.0.1/", "http:/127.0.0.1/", "http:\\\\127.0.0.1/",
        "https:evil.test", "//127.0.0.1:80/", "//[::1]/", "//0/", "//0x7f.1/", "http://127.0.0.1\t/",
        "//ok.test@127.0.0.1/", "http://[::1", "http://[zz]/", "//ok.test\\@127.0.0.1/", "http://127.0.0.1%2f@ok.test/",
        "http://", "http://:80/", "http://ok.test\x00.evil.test/", "http://ok.test:80:80/",
        "http://" + "a" * 3000 + "/",
    ):  # fmt: skip
        # Some of them are paths on the same server, as other clients read them too.
        yield _redirect("forms of Location", location[:60], location, public_connect_ok=True)
    for count in range(1, 6):
        hops = [*((302, f"/{hop}") for hop in range(count - 1)), (302, "http://10.0.0.1/")]
        yield Case("forms of Location", f"private after {count}", _START, redirects=hops)
    for location in ("next", "/next", "?q=1", "//ok.test/x", "../up", "http://ok.test/a%20b", "/ümlaut", "#part", "./"):
        yield _redirect("forms of Location", location, location, "allow")
