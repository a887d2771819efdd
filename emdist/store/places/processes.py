"""Process identity: records which process made something, to prove later that it has ended."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
#: The states of a process that has ended, before its parent has collected it: zombie and dead.
_ENDED = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """A process of some machine, distinct from later processes with the same number.

    Attributes
    ----------
    machine
        8 hexadecimal digits for host, boot and container; "" if they cannot be determined.
    pid
        The number of the process on that machine.
    began
        The start time of the process, in clock ticks since boot.
    """

    machine: str
    pid: int
    began: int

    def is_of_this_machine(self) -> bool:
        """Return whether the process runs or ran on this machine, since it was last started."""
        return bool(self.machine) and self.machine == _machine()

    def has_ended(self) -> bool:
        """Return whether the process has certainly ended.

        The result is False for processes of other machines, and in case of doubt.
        """
        if not self.is_of_this_machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # It belongs to another user.
        found = _status(self.pid)
        return found is not None and (found[0] in _ENDED or found[1] != self.began)


def this_process() -> Process:
    """Return the identity of the calling process."""
    found = _status(os.getpid())
    return Process(_machine() if found else "", os.getpid(), found[1] if found else 0)


@cache
def _machine() -> str:
    """Return a digest of the host, its boot and its PID namespace; "" if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""
    return hashlib.sha256(f"{socket.gethostname()} {boot} {space}".encode()).hexdigest()[:8]


def _status(pid: int) -> tuple[str, int] | None:
    """Return state and start time of a process, or None if they cannot be read."""
    try:
        told = (_PROC / str(pid) / "stat").read_text()
        # The second field is the command in brackets. It can contain spaces and brackets, so split
        # after the last one.
        fields = told.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
