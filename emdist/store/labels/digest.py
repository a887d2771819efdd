"""Digests of blocks of labels: whose they are, and that they are whole.

A chunk has a checksum of its own, which a chunk of other labels has too. So the row that marks a
block as done also holds a CRC-32C over whose labels these are, which block it is, and all its
outputs as stored: any of them exchanged, alone or together, no longer goes with the others. It
tells of accidents (one in 2^32 goes unnoticed), not of forgers.
"""

from __future__ import annotations

from emdist.store.chunks.crc32c import extend

#: How blocks are digested, as the mark of a group of labels says it.
DIGEST = "crc32c"


def digest_of(key: str, index: int) -> int:
    """Of block `index` of the labels `key` before any of its values; float64 holds it exactly."""
    return extend(0, f"{key}:{index}".encode())
