"""Who is calling, by address, with proxies believed only where the settings name them."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


@lru_cache
def _networks(names: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(name, strict=False) for name in names]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str) -> bool:
    if not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


def client_address(request: HttpRequest) -> str:
    """The nearest address that is not one of our proxies.

    X-Forwarded-For is read from the right, since everything left of the first address that
    we do not know was written by the caller. What is no address ends the reading: the database
    would refuse it. So does a zone (fe80::1%eth0), which is dropped.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    while hops and _is_address(hops[-1]) and _is_trusted(address):
        address = hops.pop()
    return address.partition("%")[0]
