"""`Buffered`: the part of a source that keeps decoded blocks and reads the next ones ahead."""

from __future__ import annotations

from dataclasses import dataclass, field

from emdist.interfaces import Block
from emdist.store.sources.ahead import READ_AHEAD, Ahead
from emdist.store.sources.direct import is_mapped
from emdist.store.sources.resident import Keep


@dataclass(frozen=True)
class Buffered:
    """A source whose blocks are kept between passes and read ahead, as far as memory allows.

    Attributes
    ----------
    keep
        Which decoded blocks are kept between passes, or None for none. Mapped rows are not kept:
        the kernel keeps their pages while memory suffices.
    ahead
        How much is read ahead, or None for nothing.
    """

    keep: Keep | None = field(default=None, kw_only=True)
    ahead: Ahead | None = field(default=None, kw_only=True)

    @property
    def is_mapped(self) -> bool:
        """Whether blocks are maps of files, which need not be kept."""
        return False

    def read(self, i: int) -> Block:
        if self.keep is not None and (kept := self.keep.get(i)) is not None:
            return kept
        block = None if self.ahead is None else READ_AHEAD.take(self.ahead, i)
        if block is None:
            block = self._read(i)
        if self.keep is not None and not is_mapped(block.x):
            self.keep.put(block)
        return block

    def expect(self, i: int) -> None:
        """Begin to read block `i`, which will be needed soon, if memory allows."""
        if self.keep is None or self.keep.get(i) is None:
            self._begin(i)

    def _begin(self, i: int) -> bool:
        """Return whether a thread begins to read block `i` now."""
        if self.ahead is None:
            return False
        return READ_AHEAD.begin(self.ahead, i, self._nbytes(i), self._read)

    def _nbytes(self, i: int) -> int:
        """Return the decoded bytes of block `i`."""
        raise NotImplementedError

    def _read(self, i: int) -> Block:
        """Read and decode block `i`."""
        raise NotImplementedError
