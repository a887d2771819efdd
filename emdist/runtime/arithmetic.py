"""What decides the last bits of a result: the kind of CPU, the compiler's target, and BLAS."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path

#: The packages whose code computes.
_PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
#: The entries that every process has, and those that exist only if a setting changed them.
_ALWAYS, _AT_TIMES = ("machine", "cpu", "blas"), ("cpu_features", "numpy_features")
#: The environment variables that choose NumPy's own loops when NumPy is imported.
_SWITCHES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")


@lru_cache
def arithmetic() -> dict[str, str]:
    """Return the hardware and libraries with which this process computes, by name.

    Two processes for which this is the same compute bit-identical results.

    ``cpu`` is the kind of CPU for which Numba compiles: ``NUMBA_CPU_NAME``, or that of this
    machine. ``blas`` names the kernels of OpenBLAS: ``OPENBLAS_CORETYPE``, or those for this
    machine.
    """
    found = {"machine": platform.machine(), "cpu": _cpu(), "blas": _blas()}
    if features := _features():
        found["cpu_features"] = features
    if switched := " ".join(
        f"{name}={os.environ[name]}" for name in _SWITCHES if name in os.environ
    ):
        found["numpy_features"] = switched
    return found | {name: metadata.version(name) for name in _PACKAGES}


def differing(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return what differs, as "cpu znver3 in place of skylake".

    Entries that only one of the two has are left out, except changed settings.
    """
    known = [name for name in (*_ALWAYS, *_PACKAGES) if name in before and name in now]
    if "blas" in known:  # Records of earlier versions do not contain settings.
        known += _AT_TIMES
    return [
        f"{name} {now.get(name, 'the default')} in place of {before.get(name, 'the default')}"
        for name in known
        if before.get(name) != now.get(name)
    ]


def _cpu() -> str:
    """Return the kind of CPU for which Numba compiles."""
    from llvmlite.binding import get_host_cpu_name
    from numba.core import config

    return str(config.CPU_NAME or get_host_cpu_name())


def _features() -> str:
    """Return the features of the CPU that Numba uses, if a setting changes those of the machine."""
    from numba.core import config

    return str(config.CPU_FEATURES or "")


def _blas() -> str:
    """Return the BLAS libraries that NumPy and SciPy use, with version and kernels."""
    import scipy.linalg  # noqa: F401  loads NumPy's and SciPy's BLAS
    from threadpoolctl import threadpool_info

    found = {
        " ".join(
            str(one[key])
            for key in ("internal_api", "version", "architecture")
            if one.get(key) is not None
        )
        for one in threadpool_info()
        if one.get("user_api") == "blas" and computes(str(one.get("filepath", "")))
    }
    return ", ".join(sorted(found)) or "unknown"


def computes(library: str) -> bool:
    """Return whether NumPy or SciPy may call the library at this path.

    Wheels of other packages, such as faiss, bring a BLAS of their own in ``faiss_cpu.libs`` or
    ``faiss/.dylibs``. emdist does not compute with these.
    """
    for folder in Path(library).parents:
        if folder.suffix == ".libs" or folder.name == ".dylibs":
            owner = folder.stem if folder.suffix == ".libs" else folder.parent.name
            return owner in ("numpy", "scipy")
    return True
