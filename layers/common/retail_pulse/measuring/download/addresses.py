"""Which addresses may be called: clients' URLs must not reach private networks."""

import ipaddress
from collections.abc import Sequence

from retail_pulse.domain.networks import Network

# Addresses that are not globally reachable, or that lead into another address space, from IANA's registries of
# special-purpose addresses (RFC 6890), read in November 2026: https://www.iana.org/assignments/iana-ipv4-special-registry
# and …/iana-ipv6-special-registry. Ranges within a listed one are left out.
_RESERVED = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared address space
    "127.0.0.0/8",  # loopback, including the Lambda runtime API
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
    "2001::/23",  # protocol assignments: Teredo (which embeds IPv4), benchmarking, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which embeds IPv4
    "3fff::/20",  # documentation
)
_RESERVED_NETWORKS = tuple(map(ipaddress.ip_network, _RESERVED))
# Only 2000::/3 is assigned for global unicast (RFC 4291, section 2.4). Mapped, compatible, translated, unique local,
# link local and multicast addresses are all outside it.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")


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
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        # An IPv6 socket reaches an IPv4 host at such an address, so the IPv4 rules apply.
        parsed = parsed.ipv4_mapped
    if any(parsed in network for network in allowed_networks):
        return True
    is_assigned = parsed.version == 4 or parsed in _GLOBAL_V6
    return is_assigned and not any(parsed in network for network in _RESERVED_NETWORKS)
