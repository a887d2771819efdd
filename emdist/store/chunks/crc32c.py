"""CRC-32C checksums, computed without holding the interpreter's lock, and joined without the data.

fastcrc releases the interpreter's lock and reads memory at twice the rate of google_crc32c, with
which Zarr's codec computes the same checksum.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi

#: The polynomials x^8, and x^32 modulo that of CRC-32C. The highest of the 32 bits is the
#: coefficient of x^0.
_BYTE, _REST = 1 << 23, 0x82F63B78


def extend(crc: int, data: Any) -> int:
    """Return the CRC-32C of some bytes with checksum `crc` (0 for none), followed by `data`.

    Parameters
    ----------
    data
        Bytes, or a C-contiguous array.
    """
    return iscsi(np.frombuffer(data, np.uint8).data, crc) if len(data) else crc


def behind(other: int, before: int, crc: int, length: int) -> int:
    """Return the CRC-32C of some bytes with checksum `other`, followed by `length` more bytes.

    `crc` is the checksum of the same `length` bytes when they follow bytes with checksum `before`.
    The bytes themselves are not needed. A CRC is linear, so a change of the checksum before the
    `length` bytes changes the result by that change times x^(8 length).
    """
    return crc ^ _product(other ^ before, _shift(length))


@lru_cache(maxsize=64)
def _shift(length: int) -> int:
    """Return x^(8 length), by repeated squaring."""
    power, square = 1 << 31, _BYTE
    while length:
        if length & 1:
            power = _product(power, square)
        square, length = _product(square, square), length >> 1
    return power


def _product(a: int, b: int) -> int:
    """Return the product of two polynomials, modulo the polynomial of CRC-32C."""
    found = 0
    for at in range(31, -1, -1):  # from x^0 of `a`
        if a >> at & 1:
            found ^= b
        b = b >> 1 ^ (_REST if b & 1 else 0)
    return found
