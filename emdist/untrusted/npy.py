"""NPY headers: limits their length and shape, and keeps NumPy's parser from raising anything else.

NumPy parses a header as Python code.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from emdist.runtime.defects import is_defect

#: The largest header in bytes. It is NumPy's own limit, which NumPy checks only after reading it
#: all.
_LONGEST_HEADER = 10_000


@dataclass(frozen=True)
class Header:
    """What precedes the values of an NPY file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """The number of bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """Read the header and move the stream to the first value. Raise ValueError if there is none."""
    version = npy_format.read_magic(stream)
    told = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(told, "little")
    if version > (3, 0) or length > _LONGEST_HEADER:
        raise ValueError(f"its header has version {version} and {length} bytes")
    read = (
        npy_format.read_array_header_1_0
        if version == (1, 0)
        else npy_format.read_array_header_2_0  # 3.0 differs only in the encoding of field names
    )
    try:
        shape, fortran, dtype = read(io.BytesIO(told + stream.read(length)))
    except (ValueError, EOFError):
        raise
    except Exception as error:  # NumPy parses it as Python code: that raises anything
        if is_defect(error, _read_sound_header):
            raise
        raise ValueError(f"its header is not NumPy's ({type(error).__name__})") from error
    if len(shape) > 64 or any(isinstance(n, bool) or not 0 <= n < 1 << 62 for n in shape):
        raise ValueError("the shape in its header is not possible")
    return Header(tuple(shape), bool(fortran), np.dtype(dtype))


def _read_sound_header() -> None:
    """Read a valid header, as the control that `is_defect` needs."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((1, 1)))
    stream.seek(0)
    read_header(stream)
