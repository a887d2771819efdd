"""The memory that this process can still take, and returning what it has freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil

#: Where Linux shows control groups, and those that a process belongs to.
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

#: Files of a control group, versions 2 and 1: its limit, its use, and the names of the parts of its
#: use that are pages of files. The kernel frees such pages when a process needs memory.
_VERSION_2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))
_VERSION_1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)


def available_memory() -> int:
    """Return the bytes that this process can still take, limited by machine and control groups."""
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """Yield the bytes that each control group around this process leaves."""
    for folder, (limit, used, files) in _groups():
        # A group without a limit has no such file, or it holds "max".
        with suppress(OSError, ValueError):
            most, taken = (int((folder / name).read_text()) for name in (limit, used))
            parts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield most - max(0, taken - sum(int(parts.get(name, 0)) for name in files))


def _groups() -> Iterator[tuple[Path, tuple[str, str, tuple[str, str]]]]:
    """Yield the folder of each control group around this process, and the files of its version."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:  # not on Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, files = GROUPS, _VERSION_2
        elif "memory" in controllers.split(","):
            root, files = GROUPS / "memory", _VERSION_1
        else:
            continue
        # In a container, the path may be that of the host. Its own group is then the root.
        own = PurePosixPath(path.lstrip("/"))
        yield from ((root / one, files) for one in (own, *own.parents))


def return_freed() -> None:
    """Return freed memory to the system. The allocator of glibc keeps it otherwise."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # Another C library has no such function.
            ctypes.CDLL(None).malloc_trim(0)
