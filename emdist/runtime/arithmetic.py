"""What decides the last bits of a result: the kind of CPU, the compiler's target, the BLAS."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata

#: Packages whose code adds and multiplies.
_PACKAGES = ("numpy", "scipy", "numba", "llvmlite")
#: What every process has, and what only those have where a setting changed it.
_ALWAYS, _AT_TIMES = ("machine", "cpu", "blas"), ("cpu_features", "numpy_features")
#: Of NumPy's own loops, which are chosen when it is imported.
_SWITCHES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")


@lru_cache
def arithmetic() -> dict[str, str]:
    """By name, what this process computes with; two that are alike give the same bits.

    ``cpu`` is the kind that Numba compiles for: ``NUMBA_CPU_NAME``, or that of this machine.
    ``blas`` has the kernels that OpenBLAS chose: ``OPENBLAS_CORETYPE``, or those of this machine.
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
    """What is not alike, as "cpu znver3 in place of skylake"; not what either leaves open."""
    known = [name for name in (*_ALWAYS, *_PACKAGES) if name in before and name in now]
    if "blas" in known:  # records of earlier versions do not tell of settings
        known += _AT_TIMES
    return [
        f"{name} {now.get(name, 'as it comes')} in place of {before.get(name, 'as it comes')}"
        for name in known
        if before.get(name) != now.get(name)
    ]


def _cpu() -> str:
    from llvmlite.binding import get_host_cpu_name
    from numba.core import config

    return str(config.CPU_NAME or get_host_cpu_name())


def _features() -> str:
    """Of the CPU as Numba takes them, where a setting changes those of the machine."""
    from numba.core import config

    return str(config.CPU_FEATURES or "")


def _blas() -> str:
    import scipy.linalg  # noqa: F401  has NumPy's and its own loaded
    from threadpoolctl import threadpool_info

    found = {
        " ".join(
            str(one[key])
            for key in ("internal_api", "version", "architecture")
            if one.get(key) is not None
        )
        for one in threadpool_info()
        if one.get("user_api") == "blas"
    }
    return ", ".join(sorted(found)) or "unknown"
