"""Variables that a program holds: arrays in memory, or lazy arrays that are computed box by box."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.interfaces import Array
from emdist.store.grids.variables import Piece, Variable
from emdist.store.sources.diagnosis import Region
from emdist.store.sources.plan import usable_dtype
from emdist.store.sources.references import ArrayRef


@dataclass(frozen=True, eq=False)
class HeldVariable:
    """A variable in memory, or a lazy one.

    Attributes
    ----------
    name
        Its name.
    array
        The array, of which regions are taken.
    dims
        The names of its dimensions.
    units
        The size of a chunk along each dimension; 1 for an array in memory.
    compute
        Returns the values of a part of a lazy array, given the part and the block for which it is
        read; None for an array in memory.
    identify
        Returns what identifies the contents of a lazy array.
    refs
        The stored arrays that a lazy array is computed from, as far as they are known.
    """

    name: str
    array: Any
    dims: tuple[str, ...]
    units: tuple[int, ...]
    compute: Callable[[Any, int], Array] | None = None
    identify: Callable[[Any], Mapping[str, Any]] | None = None
    refs: tuple[ArrayRef, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # References serve to compare stamps, and only the driver does that.
        return {**self.__dict__, "refs": ()}

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return usable_dtype(self.exact_dtype, self.name or "X")

    @property
    def exact_dtype(self) -> np.dtype[Any]:
        found: np.dtype[Any] = np.dtype(self.array.dtype)
        return found

    @property
    def nbytes(self) -> int:
        """Bytes in memory; 0 for a lazy array."""
        return 0 if self.compute is not None else int(self.array.nbytes)

    @property
    def note(self) -> str:
        return ""

    def unit(self, dim: str) -> int:
        return self.units[self.dims.index(dim)] if dim in self.dims else 1

    def pieces(self, region: Region, block: int, missing: str, corrupt: str) -> Iterator[Piece]:
        part = self.array[region]
        yield Piece(region, part if self.compute is None else self.compute(part, block), [])

    def checked(self, region: Region, missing: str) -> Variable:
        return self

    def identity(self) -> dict[str, Any]:
        found = {"name": self.name, "dtype": str(self.array.dtype), "shape": list(self.shape)}
        if self.identify is not None:
            return {**found, **self.identify(self.array)}
        digest = hashlib.sha256(np.ascontiguousarray(self.array).tobytes()).hexdigest()
        return {**found, "sha256": digest}
