"""Small helpers around addresses."""

import ipaddress


def cut_network(address: str) -> str:
    """The address without its last part (``203.0.113.x``, first 64 bits of IPv6): enough to recognise, not to trace."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return ".".join(address.strip().split(".")[:3]) + ".x"
    return str(ipaddress.ip_network(f"{parsed}/64", strict=False).network_address) + "x"
