"""Where this process listens, and whether it may do so without keys: on the loopback address it may, elsewhere not.

The listening socket itself is asked, for it alone knows: BentoML takes the address from an option, a variable, a
configuration file or the service, and hands the worker nothing but the socket.
"""

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from feature_repo.errors import SettingsError
from services.configured_keys import FILE_VARIABLE

__all__ = ["is_loopback", "listening_hosts", "require_keys_beyond_loopback"]

_DESCRIPTORS = Path("/dev/fd")


@lru_cache(maxsize=64)  # asked for every request where there are no keys
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`: 127.0.0.0/8, ::1 or localhost. Anything else that is said does not."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def listening_hosts() -> list[str]:
    """Return the addresses on which this process listens for TCP connections, sorted, each once."""
    found: set[str] = set()
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  names are wanted, and some vanish while they are listed
        with suppress(OSError, ValueError):
            found |= _listening_host(int(name))
    return sorted(found)


def require_keys_beyond_loopback(hosts: Iterable[str], keys: bool) -> None:
    """Refuse to be reached from other machines without keys.

    Raises:
        SettingsError: a host is not a loopback address, and `keys` is False.
    """
    open_hosts = [host for host in hosts if not is_loopback(host)]
    if open_hosts and not keys:
        raise SettingsError(
            f"The service would listen on {', '.join(open_hosts)} without keys: everybody who reaches it could ask it. "
            f"Expected 127.0.0.1, or keys. Make one with `intent keys create`, and name the file in {FILE_VARIABLE}."
        )


def _listening_host(descriptor: int) -> set[str]:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return set()
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != socket.SOCK_STREAM:
            return set()
        listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return {str(copy.getsockname()[0])} if listens else set()
