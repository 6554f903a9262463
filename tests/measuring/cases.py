"""Cases for the rules on which servers may be called: the 319 of `addresses.json`, and the project's own.

The latter are both ends of every reserved range of IPv4 and IPv6, in every notation of an address and by every way that
leads there, and tricks with names, ports, schemes and lists of hosts.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PUBLIC4, _PUBLIC6 = "93.184.216.34", "2606:4700::1111"
# Connecting to these is allowed in every case: the servers of `ok.test` and the like.
PUBLIC = frozenset({_PUBLIC4, _PUBLIC6, "198.41.0.4"})
_NAMES = {"ok.test": [[_PUBLIC4]], "evil.test": [["127.0.0.1"]], "localhost": [["127.0.0.1", "::1"]]}
_START = "http://ok.test/start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One URL, and the network in which it is fetched.

    Parameters
    ----------
    group, name
        The kind of trick, and which one.
    url
        The URL that the fetcher gets.
    expected
        ``allow`` or ``refuse``.
    resolver
        The answers for each name, one per look-up; the last one repeats.
    redirects
        Status and Location of the responses before the image.
    policy
        ``strict`` as in production, ``loopback`` as on the local stack, ``ports``, ``range`` or ``hosts``.
    public_connect_ok
        Whether measuring the response of a public address is allowed.
    dead
        Addresses that refuse the connection.
    """

    group: str
    name: str
    url: str
    expected: str
    resolver: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=lambda: dict(_NAMES))
    redirects: Sequence[tuple[int, str]] = ()
    policy: str = "strict"
    public_connect_ok: bool = False
    dead: Sequence[str] = ()


def recorded() -> list[Case]:
    """Return the cases of `addresses.json`, unchanged."""
    found = json.loads((Path(__file__).parent / "addresses.json").read_text(encoding="utf-8"))
    return [Case(**{**case, "redirects": [tuple(redirect) for redirect in case["redirects"]]}) for case in found]


def own() -> list[Case]:
    """Return the project's own cases."""
    makers = (
        _ranges4,
        _ranges6,
        _zones,
        _neighbours,
        _runtime,
        _names,
        _ports,
        _userinfo,
        _idna,
        _schemes,
        _hosts,
        _locations,
    )
    return [case for make in makers for case in make()]


# IANA's registries of special-purpose addresses, every entry that is not globally reachable, with multicast.
_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/31", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
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
        yield Case(group=f"{group}, {form}", name=address, url=f"http://{text}/", expected=expected)
    hops = [(302, f"http://{next(iter(forms.values()))}/")]
    yield Case(group=f"{group}, redirect", name=address, url=_START, redirects=hops, expected=expected)
    yield Case(group=f"{group}, name", name=address, url="http://there.test/", resolver=names, expected=expected)
    hops = [(307, "http://there.test/")]
    yield Case(
        group=f"{group}, redirect to a name",
        name=address,
        url=_START,
        resolver=names,
        redirects=hops,
        expected=expected,
    )
    if expected == "refuse":
        hops = [(301, "http://changing.test/b")]
        yield Case(
            group=f"{group}, changing name", name=address, url="http://changing.test/a", resolver=names,
            redirects=hops, expected=expected,
        )  # fmt: skip


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
            yield Case(group="IPv6, broken zones", name=zone, url=url, expected="refuse", public_connect_ok=True)
            yield Case(
                group="IPv6, broken zones, redirect", name=zone, url=_START, redirects=[(302, url)], expected="refuse",
                public_connect_ok=True,
            )  # fmt: skip


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
                name = f"{url} {hops}"
                yield Case(
                    group=group, name=name, url=url, resolver=names, redirects=hops, policy=policy, expected="refuse"
                )


def _names() -> Iterator[Case]:
    private = ("127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "64:ff9b::a00:1")
    for address in private:
        for answer in ([_PUBLIC4, address], [address, _PUBLIC6], [_PUBLIC4] * 4 + [address], [_PUBLIC6, address]):
            names = {"mixed.test": [answer]}
            yield Case(
                group="names, mixed answers", name=str(answer), url="http://mixed.test/", resolver=names,
                expected="refuse",
            )  # fmt: skip
        for count in range(1, 4):
            names = {"changing.test": [*[[_PUBLIC4]] * count, [address]]}
            hops = [(302, f"/{hop}") for hop in range(count)]
            yield Case(
                group="names, changing answers", name=f"{address} after {count}", url="http://changing.test/",
                resolver=names, redirects=hops, expected="refuse",
            )  # fmt: skip
    for name in ("localhost", "LOCALHOST", "localhost.", "sandbox.localdomain", "nowhere.test", "a..test", "." * 3):
        yield Case(group="names, local or unknown", name=name, url=f"http://{name}/", expected="refuse")
    names = {"ok.test": [[_PUBLIC6, _PUBLIC4]], "img-1.ok.test": [[_PUBLIC4]], "a" * 63 + ".test": [[_PUBLIC4]]}
    for name in ("ok.test", "OK.TEST", "ok.test.", "img-1.ok.test", "a" * 63 + ".test"):
        yield Case(group="names, public", name=name, url=f"http://{name}/", resolver=names, expected="allow")
    for dead in ([_PUBLIC6], ["198.41.0.4"], [_PUBLIC6, "198.41.0.4"]):
        names = {"ok.test": [[*dead, _PUBLIC4]]}
        yield Case(
            group="names, public", name=f"{dead} dead", url="http://ok.test/", resolver=names, dead=dead,
            expected="allow",
        )  # fmt: skip


def _ports() -> Iterator[Case]:
    for port in ("1", "21", "22", "25", "81", "444", "3306", "6379", "8080", "9001", "11211", "65535", "65536", "-1"):
        yield Case(group="ports", name=port, url=f"http://ok.test:{port}/", expected="refuse")
        hops = [(302, f"http://ok.test:{port}/")]
        yield Case(group="ports", name=f"redirect to {port}", url=_START, redirects=hops, expected="refuse")
    for port in ("80", "443", "", "080"):
        yield Case(group="ports", name=f"{port!r}", url=f"http://ok.test:{port}/", expected="allow")
    for port, expected in (("7999", "refuse"), ("8000", "allow"), ("8999", "allow"), ("9000", "refuse")):
        yield Case(
            group="ports, a range allowed", name=port, url=f"http://ok.test:{port}/", policy="range", expected=expected
        )


def _userinfo() -> Iterator[Case]:
    for user in ("a", "a:b", ":", "", "127.0.0.1", "ok.test", "ok.test%2f", "ok.test:80", "a@b", "%61", "ok.test#"):
        for host in ("127.0.0.1", "evil.test", "ok.test", "[::1]"):
            url = f"http://{user}@{host}/"
            # After a number sign is the fragment, so the host is before it. An @ without a name before it has no user.
            expected = "allow" if user.endswith("#") or (user, host) == ("", "ok.test") else "refuse"
            yield Case(group="credentials", name=url, url=url, expected=expected)
            hops = [(302, url)]
            yield Case(group="credentials", name=f"redirect {url}", url=_START, redirects=hops, expected=expected)


def _idna() -> Iterator[Case]:
    names = {**_NAMES, "xn--bcher-kva.test": [[_PUBLIC4]], "xn--fa-hia.test": [[_PUBLIC4]], "k.test": [["10.0.0.1"]]}
    for host in (
        "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "ℓocalhost",
        "LOCALHOſT", "localhoﬆ", "ｅｖｉｌ.test", "evil。test", "EVIL.TEST",
        "ev\u00adil.test", "ev\u200bil.test", "K.test",
        "𝟏𝟐𝟕.0.0.1", "169.254.169.２５４", "１６９.254.169.254", "[::ｆｆｆｆ:127.0.0.1]", "[::１]", "0ｘ7f.1",
        "xn--", "xn--a.xn--b", "\u202elocalhost", "local\u2060host", "127.0.0.1\u3002", "\u0661\u0662\u0667.0.0.1",
    ):  # fmt: skip
        yield Case(group="IDNA and case", name=host, url=f"http://{host}/", resolver=names, expected="refuse")
        hops = [(302, f"http://{host}/")]
        yield Case(
            group="IDNA and case",
            name=f"redirect {host}",
            url=_START,
            resolver=names,
            redirects=hops,
            expected="refuse",
        )
    for host in ("bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "XN--BCHER-KVA.TEST", "faß.test", "Ok.TeSt"):
        yield Case(group="IDNA and case", name=host, url=f"http://{host}/", resolver=names, expected="allow")


def _schemes() -> Iterator[Case]:
    for url in (
        "file:///etc/passwd", "FILE://localhost/etc/passwd", "ftp://ok.test/", "gopher://ok.test:70/_x",
        "data:image/gif,a", "javascript:alert(1)", "ws://ok.test/", "wss://ok.test/", "ldap://ok.test/",
        "sftp://ok.test/",
        "jar:http://ok.test!/", "view-source:http://ok.test/", "blob:http://ok.test/", "about:blank",
        "mailto:a@ok.test", "netdoc:///etc/passwd",
        "s3://bucket/key", "unix:/run/docker.sock", "httpss://ok.test/", "h://ok.test/", "ok.test/a.jpg", "",
    ):  # fmt: skip
        yield Case(group="schemes", name=url, url=url, expected="refuse")
        # A Location without a scheme is a path, and an empty one is not a redirect.
        if "/" not in url.partition(":")[0] and url:
            hops = [(302, url)]
            yield Case(group="schemes", name=f"redirect {url}", url=_START, redirects=hops, expected="refuse")
    for hops in ([(301, "HTTP://OK.test/")], [(302, "hTTp://ok.test/x")], [(308, "//ok.test/x")]):
        yield Case(group="schemes", name=str(hops), url=_START, redirects=hops, expected="allow")


def _hosts() -> Iterator[Case]:
    """Yield cases for the list ``img.example.test``, ``*.cdn.test`` and ``.shop.test``."""
    names = {
        name: [[_PUBLIC4]]
        for name in (
            "img.example.test", "a.cdn.test", "b.a.cdn.test", "x.shop.test", "cdn.test", "shop.test", "evilcdn.test",
            "example.test", "a.img.example.test", "a.cdn.test.evil.test", "img.example.test.evil.test", "ok.test",
            "imgxexample.test", "evil.cdn.test-x.test",
        )
    }  # fmt: skip
    names["private.cdn.test"] = [["10.0.0.1"]]
    names["changing.cdn.test"] = [[_PUBLIC4], ["10.0.0.1"]]
    listed = ("img.example.test", "IMG.Example.Test", "img.example.test.", "a.cdn.test", "b.a.cdn.test", "x.shop.test")
    inside = "http://a.cdn.test/start"
    others = (_PUBLIC4, f"[{_PUBLIC6}]", "127.0.0.1", "1572395042", "a.cdn.test@ok.test")
    for host in dict.fromkeys((*names, *listed, *others)):
        expected = "allow" if host in listed else "refuse"
        hops = [(302, f"http://{host}/")]
        if host != "changing.cdn.test":
            url = f"http://{host}/"
            yield Case(group="list of hosts", name=host, url=url, resolver=names, policy="hosts", expected=expected)
        else:
            hops += [(302, "/again")]
        yield Case(
            group="list of hosts, redirect", name=host, url=inside, resolver=names, redirects=hops, policy="hosts",
            expected=expected,
        )  # fmt: skip


def _locations() -> Iterator[Case]:
    for location in (
        "///127.0.0.1/", "////127.0.0.1/", "/\\/127.0.0.1/", "\\/127.0.0.1/", "http:/127.0.0.1/", "http:\\\\127.0.0.1/",
        "https:evil.test", "//127.0.0.1:80/", "//[::1]/", "//0/", "//0x7f.1/", "http://127.0.0.1\t/",
        "//ok.test@127.0.0.1/", "http://[::1", "http://[zz]/", "//ok.test\\@127.0.0.1/",
        "http://127.0.0.1%2f@ok.test/", "http://",
        "http://:80/", "http://ok.test\x00.evil.test/", "http://ok.test:80:80/", "http://" + "a" * 3000 + "/",
    ):  # fmt: skip
        # Some of them are paths on the same server, as other clients read them too.
        yield Case(
            group="forms of Location", name=location[:60], url=_START, redirects=[(302, location)], expected="refuse",
            public_connect_ok=True,
        )  # fmt: skip
    for count in range(1, 6):
        hops = [(302, f"/{hop}") for hop in range(count - 1)]
        yield Case(
            group="forms of Location", name=f"private after {count}", url=_START,
            redirects=[*hops, (302, "http://10.0.0.1/")], expected="refuse",
        )  # fmt: skip
    for location in ("next", "/next", "?q=1", "//ok.test/x", "../up", "http://ok.test/a%20b", "/ümlaut", "#part", "./"):
        yield Case(group="forms of Location", name=location, url=_START, redirects=[(302, location)], expected="allow")
