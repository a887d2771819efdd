"""CRC-32C of much data while other threads go on, and of data behind other data at no cost.

fastcrc lets go of the interpreter's lock and reads memory at twice the rate of google_crc32c, which
Zarr's codec computes the same with.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi

#: x^8, and what x^32 is: a polynomial over bits is written with x^0 in the highest of 32.
_BYTE, _REST = 1 << 23, 0x82F63B78


def extend(crc: int, data: Any) -> int:
    """The CRC-32C of what has `crc`, 0 for nothing, and of the bytes of `data` behind it.

    Parameters
    ----------
    data
        Bytes, or a C-contiguous array.
    """
    return iscsi(np.frombuffer(data, np.uint8).data, crc) if len(data) else crc


def behind(other: int, before: int, crc: int, length: int) -> int:
    """The CRC-32C of `length` bytes behind what has `other`, by the `crc` behind what has `before`.

    Without the bytes: a CRC is linear, so what lies before changes it by itself times x^(8 length).
    """
    return crc ^ _product(other ^ before, _shift(length))


@lru_cache(maxsize=64)
def _shift(length: int) -> int:
    """x^(8 length), by squaring."""
    power, square = 1 << 31, _BYTE
    while length:
        if length & 1:
            power = _product(power, square)
        square, length = _product(square, square), length >> 1
    return power


def _product(a: int, b: int) -> int:
    """Of polynomials, modulo that of CRC-32C."""
    found = 0
    for at in range(31, -1, -1):  # from x^0 of `a`
        if a >> at & 1:
            found ^= b
        b = b >> 1 ^ (_REST if b & 1 else 0)
    return found
