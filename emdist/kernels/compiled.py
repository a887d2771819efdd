"""Compiled kernels as bytes: taken from the cache of one process, put into that of another."""

from __future__ import annotations

import importlib
import pickle
from contextlib import suppress
from typing import Any

from numba.core.serialize import dumps

from emdist.kernels.jit import KERNELS, STAMP


def compiled() -> bytes:
    """Return the cached code of all kernels of this process.

    Each entry names the kind of processor, the types of the arguments and the code of the kernel.
    numba uses it only where all of these agree, so that a machine of another kind compiles.
    """
    found = []
    for kernel in KERNELS:
        cache, module = kernel._cache._cache_file, kernel.py_func.__module__
        for key, name in cache._load_index().items():
            with suppress(OSError):
                found.append((module, _name(kernel), key, cache._load_data(name)))
    return bytes(dumps((STAMP, found)))


def install(code: bytes) -> int:
    """Put cached code where this process looks for it; return how many entries were new.

    Code of other kernels than those of this process is ignored. It comes from the driver, which
    may run anything on a worker; it is never read from a file.
    """
    stamp, found = pickle.loads(code)
    if stamp != STAMP:
        return 0
    for module in {module for module, *_ in found if module.startswith("emdist.kernels.")}:
        importlib.import_module(module)
    own = {(kernel.py_func.__module__, _name(kernel)): kernel for kernel in KERNELS}
    new = 0
    for module, name, key, data in found:
        cache = own[module, name]._cache
        with suppress(OSError):  # A folder that cannot be written: this process compiles.
            if key not in cache._cache_file._load_index():
                cache._impl.locator.ensure_cache_path()
                cache._cache_file.save(key, data)
                new += 1
    return new


def _name(kernel: Any) -> str:
    return str(kernel.py_func.__qualname__)
