"""CRC-32C of much data while other threads go on.

google_crc32c holds the interpreter's lock: 8 MB keep all threads waiting for a millisecond. The C
function that it wraps can be called without.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import google_crc32c
import numpy as np


def extend(crc: int, data: Any) -> int:
    """The CRC-32C of what has `crc`, 0 for nothing, and of the bytes of `data` behind it.

    Parameters
    ----------
    data
        Bytes, or a C-contiguous array.
    """
    raw = np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)
    return _extend()(crc, raw)


@cache
def _extend() -> Callable[[int, Any], int]:
    """The C function, or google_crc32c's own where that cannot be found."""
    held: Callable[[int, Any], int] = google_crc32c.extend
    try:
        # Looked up in the extension module, and with it in the library that it is linked with.
        from google_crc32c import _crc32c

        function = ctypes.CDLL(str(_crc32c.__file__)).crc32c_extend
    except (ImportError, AttributeError, OSError):
        return held
    function.argtypes = (ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
    function.restype = ctypes.c_uint32
    return lambda crc, raw: int(function(crc, raw.ctypes.data, raw.nbytes))
