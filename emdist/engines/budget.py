"""What a process needs to work on blocks, and what is left of its memory beside that."""

from __future__ import annotations

#: A process with everything imported and compiled: bytes, measured as 215-250 MB.
BASE = 250 << 20
#: Of a block's decoded size, what a thread takes at its worst moment: the block, its stored
#: chunks, its labels, and what the allocator is still to give back.
AT_WORST = 3.0


def spare(memory: int, threads: int, block_bytes: int) -> int:
    """Bytes of `memory` left beside `threads` blocks at work; negative where it is too small."""
    return int(memory - BASE - threads * AT_WORST * block_bytes)
