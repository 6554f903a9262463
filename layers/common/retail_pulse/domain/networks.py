"""The type of a network, in settings and in the policy of downloads."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
