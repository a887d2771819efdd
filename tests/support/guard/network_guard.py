"""No test reaches an address outside loopback: what a Python process tries is refused and noted.

`install` holds for one process; ``sitecustomize.py`` beside this file calls it in the processes
that tests start, whose PYTHONPATH names this folder. What is tried is written to the file that
`NOTES` names, for code under test may swallow the error; ``conftest.py`` fails the test.

Compiled clients (obstore's) call the system and not Python: `foreign_connections` finds what they
have open, as the kernel lists it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Environment variables: the file of what was tried; networks that the test may reach.
NOTES, ALLOWED = "EMDIST_TESTS_NETWORK_NOTES", "EMDIST_TESTS_NETWORK_ALLOWED"
#: Audit events that carry (socket, address), and those that carry a name to be looked up.
_SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname")


class ForeignAddressError(OSError):
    """A test tried to reach an address outside loopback."""


def install() -> None:
    """From now on this process is refused addresses outside loopback."""
    sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _SENDING:
        sock, address = args[0], args[1]
        if not isinstance(address, tuple) or is_allowed(str(address[0])):
            return
        if event == "socket.connect" and sock.type == socket.SOCK_DGRAM:
            return  # sends nothing: how one asks for the address of this machine
        refuse(f"{event} to {address[0]}:{address[1]}")
    elif event in _LOOKUPS and args[0]:
        name = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
        if name == socket.gethostname() or is_address(name) or is_allowed(name):
            return  # nobody is asked
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, f"{name}: reserved, asked of nobody")
        refuse(f"{event} of {name}")


def is_allowed(host: str) -> bool:
    """Whether an address, or the name of a host, is of loopback or of what the test may reach."""
    if host in ("", "localhost", "localhost.localdomain"):
        return True
    if not is_address(host):
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return True
    allowed = os.environ.get(ALLOWED, "").split()
    return any(address in ipaddress.ip_network(network) for network in allowed)


def is_address(host: str) -> bool:
    """Whether `host` is an address, and not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def refuse(what: str) -> None:
    """Note what was tried, and raise."""
    note(f"{what} by process {os.getpid()}: {' '.join(sys.argv)[:200]}")
    raise ForeignAddressError(f"{what}: tests stay on loopback")


def note(what: str) -> None:
    """Append a line to the file of what was tried."""
    if path := os.environ.get(NOTES):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(what + "\n")


def foreign_connections(allowed: Callable[[str], bool] | None = None) -> list[str]:
    """Remote addresses to which this process or one below it holds a connection.

    Those that `allowed` accepts are left out; by default, those on loopback.

    Linux only, as ``/proc`` lists them: nothing elsewhere.
    """
    found = {
        inode: remote for inode, remote in _connections() if not (allowed or is_allowed)(remote)
    }
    if not found:
        return []
    import psutil

    own = psutil.Process()
    told = []
    for process in (own, *own.children(recursive=True)):
        for link in Path(f"/proc/{process.pid}/fd").glob("*"):
            try:
                target = str(link.readlink())
            except OSError:
                continue
            inode = target.removeprefix("socket:[").removesuffix("]")
            if inode in found:
                told.append(f"a connection to {found[inode]} by process {process.pid}")
    return told


def _connections() -> list[tuple[str, str]]:
    """(inode, remote address) of every TCP socket of the machine that has a remote end."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            remote = fields[2].partition(":")[0]
            if remote.strip("0"):
                found.append((fields[9], _address(remote)))
    return found


def _address(hexadecimal: str) -> str:
    """An address as the kernel writes it: words of 32 bits in the order of this machine."""
    raw = b"".join(
        int(hexadecimal[at : at + 8], 16).to_bytes(4, sys.byteorder)
        for at in range(0, len(hexadecimal), 8)
    )
    return str(ipaddress.ip_address(raw))
