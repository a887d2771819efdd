"""`Pieces`: the sequences, or pieces of sequences, of which the rows of a block consist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pieces:
    """The sequences, or pieces of sequences, of which the rows of a block consist.

    Attributes
    ----------
    starts
        The rows of the block at which sequences begin, in order. If row 0 is not among them, the
        first rows go on with the sequence of the block before.
    goes_on
        Whether the sequence of the last row goes on in the next block.
    """

    starts: NDArray[np.int64]
    goes_on: bool = False

    @property
    def continues(self) -> bool:
        """Whether the first rows go on with the sequence of the block before."""
        return not (len(self.starts) and self.starts[0] == 0)

    @property
    def cut(self) -> bool:
        """Whether a sequence is longer than its part in this block."""
        return self.continues or self.goes_on
