"""Digests of blocks of labels: show that a block belongs to these labels and is complete.

The checksum of a chunk cannot show this, because chunks of other labels have valid checksums too.
So the row that marks a block as done also holds a CRC-32C over the key of the labels, the number of
the block, and all its outputs as stored. If any of them is exchanged, alone or together with
others, the digest does not match. It detects accidents (one in 2^32 goes unnoticed), not forgery.
"""

from __future__ import annotations

from emdist.store.chunks.crc32c import extend

#: The kind of digest, as stored in the mark of a group of labels.
DIGEST = "crc32c"


def digest_of(key: str, index: int) -> int:
    """Return the digest of block `index` of the labels `key`, before any values are added.

    A float64 holds it exactly.
    """
    return extend(0, f"{key}:{index}".encode())
