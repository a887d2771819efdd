"""What a process needs to work on blocks, and what is left of its memory beside that."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

#: A process with everything imported and compiled: bytes, measured as 215-250 MB.
BASE = 250 << 20
#: Of a block's decoded size, what a thread takes at its worst moment: the block, its stored
#: chunks, its labels, and what the allocator is still to give back.
AT_WORST = 3.0


#: Where Linux tells of a control group: what it may take, and what it takes (versions 2 and 1).
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_memory() -> int:
    """Bytes that this process can still take: of the machine, and of its control group."""
    found = [int(psutil.virtual_memory().available)]
    for limit, used in _GROUPS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            # What files occupy is given back: only a process's own memory counts.
            taken = min(int(Path(used).read_text()), psutil.Process().memory_info().rss)
            found.append(int(Path(limit).read_text()) - taken)
    return max(0, min(found))


def spare(memory: int, threads: int, block_bytes: int) -> int:
    """Bytes of `memory` left beside `threads` blocks at work; negative where it is too small."""
    return int(memory - BASE - threads * AT_WORST * block_bytes)


def shares(spared: int | None, threads: int, block_bytes: int) -> tuple[int, int]:
    """Bytes for blocks that are read ahead, and for blocks that are kept between passes.

    Half at most is for reading ahead, a block for every thread, and one block before any is kept:
    a kept block is never read, but a block that is waited for stops a thread. One that is being
    read takes half as much again as it has, for its stored chunks. Where nobody has stated a
    memory, one block is read ahead.

    Parameters
    ----------
    spared
        Left beside the blocks at work; None where no memory is stated.
    """
    if spared is None:
        return block_bytes, 0
    each = 1.5 * block_bytes
    blocks = min(threads, int(spared / 2 / each)) or int(spared >= each)
    return blocks * block_bytes, spared - int(blocks * each)
