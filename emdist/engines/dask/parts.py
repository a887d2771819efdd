"""Parts of a Dask array, computed in the thread that asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.engines.dask.chunks import Digests, changed, checked_values
from emdist.interfaces import Array

#: The digests of the parts that were computed in this process.
_DIGESTS = Digests()


@dataclass(frozen=True)
class Computed:
    """Computes parts of a lazy array, and compares each with what this process computed before.

    Dask's synchronous scheduler computes them where they are asked for, so that it works with
    every engine.

    Attributes
    ----------
    name
        How messages name the array.
    owner
        The name under which this process keeps digests.
    """

    name: str
    owner: str

    def __call__(self, part: Any, block: int) -> Array:
        """Return the values of `part`, which is read for block `block`.

        Raises
        ------
        DataError
            If it holds masked values, is not what the array declares, or has other values than
            before.
        """
        named = f"{self.name}, a Dask array, in block {block},"
        found = part.compute(scheduler="synchronous")
        values = np.ascontiguousarray(checked_values(found, named, part.shape, part.dtype))
        # A block may be read in several parts, whose names follow from their places.
        if not _DIGESTS.same(self.owner, (block, hash(part.name)), values):
            raise changed(f"block {block} of {self.name}, a Dask array,")
        return values
