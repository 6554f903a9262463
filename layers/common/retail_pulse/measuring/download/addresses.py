"""Which addresses may be called: clients' URLs must not reach private networks."""

import ipaddress
from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache

from retail_pulse.domain.networks import Network

# Addresses that are not globally reachable, or that lead into another address space, from IANA's registries of
# special-purpose addresses (RFC 6890), read in November 2026: https://www.iana.org/assignments/iana-ipv4-special-registry
# and …/iana-ipv6-special-registry. Ranges within a listed one are left out.
_RESERVED_V4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared address space
    "127.0.0.0/8",  # loopback, including the Lambda runtime API
    # Azure's WireServer, which gives a virtual machine its settings and secrets; not in the registries, see
    # https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32",
    "169.254.0.0/16",  # link local, including instance metadata and credentials
    "172.16.0.0/12",  # private use
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays, deprecated
    "192.168.0.0/16",  # private use
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and limited broadcast
)
_RESERVED_V6 = (
    # Only 2000::/3 is assigned for global unicast (RFC 4291, section 2.4). Mapped, compatible, translated, unique
    # local, link local and multicast addresses are all outside it.
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",  # protocol assignments: Teredo (which embeds IPv4), benchmarking, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which embeds IPv4
    "3fff::/20",  # documentation
)


def _bounds(networks: Sequence[str]) -> list[int]:
    """Return, in order, the first address of each network and the first one after it; no two networks overlap."""
    return sorted(
        bound for network in map(ipaddress.ip_network, networks) for bound in (int(network[0]), int(network[-1]) + 1)
    )


_BOUNDS = {4: _bounds(_RESERVED_V4), 6: _bounds(_RESERVED_V6)}


# Kept, because each connection reads the same few addresses three times.
@lru_cache(maxsize=256)
def read_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address without its zone.

    An IPv6 socket reaches an IPv4 host at a mapped address (``::ffff:10.0.0.1``), so that is the IPv4 address.

    Raises
    ------
    ValueError
        The text is not an address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_allowed(address: str, allowed_networks: Sequence[Network] = ()) -> bool:
    """Return whether images may be requested from this address.

    Parameters
    ----------
    address
        An address as returned by `getaddrinfo` or `getpeername`, possibly with a zone (``fe80::1%eth0``).
    allowed_networks
        Networks that are allowed although they are not public.

    Raises
    ------
    ValueError
        The text is not an address.
    """
    parsed = read_address(address)
    if any(parsed in network for network in allowed_networks):
        return True
    # After an odd number of bounds, the address is within a reserved network.
    return bisect(_BOUNDS[parsed.version], int(parsed)) % 2 == 0
