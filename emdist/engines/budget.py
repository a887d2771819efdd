"""Memory budget: how much memory processing blocks takes, and how much is left for other uses."""

from __future__ import annotations

#: The bytes of a process with everything imported and compiled, measured as 215-250 MB.
BASE = 250 << 20
#: The peak memory of a thread, as a multiple of a block's decoded size: the block, its stored
#: chunks, its labels, and memory that the allocator has not returned yet.
AT_WORST = 3.0


def spare(memory: int, threads: int, block_bytes: int) -> int:
    """Return the bytes of `memory` that `threads` blocks in progress leave; may be negative."""
    return int(memory - BASE - threads * AT_WORST * block_bytes)


def shares(spared: int | None, threads: int, block_bytes: int) -> tuple[int, int]:
    """Return the bytes for read-ahead, and the bytes for blocks that are kept between passes.

    Read-ahead gets at most half: up to one block for each thread. It gets one block before any
    block is kept. A kept block need not be read, but waiting for a block stops a thread. A block
    that is being read takes half of its size again, for its stored chunks. If no memory is stated,
    one block is read ahead and none is kept.

    Parameters
    ----------
    spared
        The bytes that the blocks in progress leave, or None if no memory is stated.
    """
    if spared is None:
        return block_bytes, 0
    each = 1.5 * block_bytes
    blocks = min(threads, int(spared / 2 / each)) or int(spared >= each)
    return blocks * block_bytes, spared - int(blocks * each)
