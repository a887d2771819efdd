"""CRC-32C checksums, computed without holding the interpreter's lock.

fastcrc releases the interpreter's lock and reads memory at twice the rate of google_crc32c, with
which Zarr's codec computes the same checksum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi


def extend(crc: int, data: Any) -> int:
    """Return the CRC-32C of some bytes with checksum `crc` (0 for none), followed by `data`.

    Parameters
    ----------
    data
        Bytes, or a C-contiguous array.
    """
    return iscsi(np.frombuffer(data, np.uint8).data, crc) if len(data) else crc
