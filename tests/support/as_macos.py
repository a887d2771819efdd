"""Run the command line with what macOS lacks taken away: ``python as_macos.py ARGUMENTS``.

emdist finds no ``/proc``, no control groups, no prctl, affinity or advice about files.
Other packages do: on macOS they have ways of their own.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import sys
from typing import Any

import emdist

#: Of the module `os`: macOS has none of these.
LACKING = ("sched_getaffinity", "posix_fadvise", "posix_fallocate", "pidfd_open", "O_DIRECT")
HIDDEN = ("/proc/", "/sys/")
LIBRARY = str(pathlib.Path(os.__file__).parent)
EMDIST = str(pathlib.Path(emdist.__file__).parent)
#: What was asked for although it is not there, to see that the test takes something away.
asked: set[str] = set()


def _hide(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and str(args[0]).startswith(HIDDEN) and _is_emdists():
        asked.add("files")
        raise FileNotFoundError(2, "No such file or directory", str(args[0]))


def _is_emdists() -> bool:
    """Whether emdist's own code asks, be it through Python's library."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((LIBRARY, "<")) or "site-packages" in name:
            return name.startswith(EMDIST)
        frame = frame.f_back  # type: ignore[assignment]
    return False


_getattr, _readlink = ctypes.CDLL.__getattr__, pathlib.Path.readlink


def _symbol(library: ctypes.CDLL, name: str) -> Any:
    if name == "prctl" and _is_emdists():
        asked.add(name)
        raise AttributeError(name)
    return _getattr(library, name)  # type: ignore[no-untyped-call]


def _link(path: pathlib.Path) -> pathlib.Path:
    if str(path).startswith(HIDDEN) and _is_emdists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    return _readlink(path)


def main() -> None:
    """Take away, then run."""
    for name in LACKING:
        if hasattr(os, name):
            delattr(os, name)
    sys.addaudithook(_hide)
    ctypes.CDLL.__getattr__ = _symbol  # type: ignore[method-assign]
    pathlib.Path.readlink = _link  # type: ignore[method-assign]
    from emdist.cli.application import main as command

    try:
        command()
    finally:
        print("taken away:", *sorted(asked), file=sys.stderr)


if __name__ == "__main__":
    main()
