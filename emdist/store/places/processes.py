"""Which process made something, so that another one can prove that it has ended."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
#: Of a process that has ended and whose parent has not asked: zombie, dead.
_ENDED = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """A process of some machine, told from those that have the same number later.

    Attributes
    ----------
    machine
        8 hexadecimal digits for host, boot and container; "" where that cannot be told.
    pid
        Its number there.
    began
        When it began, in ticks since the boot.
    """

    machine: str
    pid: int
    began: int

    def has_ended(self) -> bool:
        """Whether it certainly has. False for processes of other machines, and if in doubt."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # of another user
        found = _status(self.pid)
        return found is not None and (found[0] in _ENDED or found[1] != self.began)


def this_process() -> Process:
    """The one that asks."""
    found = _status(os.getpid())
    return Process(_machine() if found else "", os.getpid(), found[1] if found else 0)


@cache
def _machine() -> str:
    """Of the host since it started, and of the container whose processes are numbered together."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""
    return hashlib.sha256(f"{socket.gethostname()} {boot} {space}".encode()).hexdigest()[:8]


def _status(pid: int) -> tuple[str, int] | None:
    """State and start of a process; None if it cannot be looked at."""
    try:
        told = (_PROC / str(pid) / "stat").read_text()
        # The second field is the command in brackets, with whatever it is called.
        fields = told.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
