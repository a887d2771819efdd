"""Label writer: stores labels, scores and responsibilities as Zarr arrays, block by block.

A group has one array for each output, with rows in the order of the input, and ``progress`` with
one row for each block. The progress row is written after the block's outputs, so a block with a
progress row is done. A resumed labelling computes the other blocks. Blocks are whole chunks, so no
two writers change the same chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zarr

from emdist.errors import EmdistError
from emdist.interfaces import Array, Assigned, Block, Floats
from emdist.runtime.defects import is_defect
from emdist.store.chunks.bounded import bounded
from emdist.store.chunks.crc32c import extend
from emdist.store.chunks.writing import put_rows
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.digest import digest_of
from emdist.store.labels.layout import MASKED, MASKED_BESIDE_NOISE, arrays_wanted
from emdist.store.labels.place import damaged, put_mark, storing, telling
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.sources.references import is_access_failure
from emdist.store.sources.strict_stores import Strict
from emdist.sums import Sums


@dataclass(frozen=True)
class LabelWriter:
    """Writes the outputs of blocks; small and picklable.

    Use `emdist.store.labels.creation.label_writer` to make one.

    Attributes
    ----------
    location
        The location of the group.
    outputs
        The outputs that are written, names from `OUTPUTS`.
    bounds
        The block plan: the first row of each block, then the number of rows.
    n_components
        The number of columns of the responsibilities.
    noise
        Whether the last column is the noise component, whose rows have the label -1.
    key
        The identity of the labels, with which their digests begin.
    """

    location: Location
    outputs: tuple[str, ...]
    bounds: Sequence[int]
    n_components: int
    noise: bool = False
    key: str = ""

    @property
    def layout(self) -> tuple[int, int, int]:
        """The number of rows, of rows in a block, and of columns of the responsibilities.

        They determine the shapes and chunks of the arrays.
        """
        return self.bounds[-1], self.bounds[1] - self.bounds[0], self.n_components

    @property
    def masked(self) -> int:
        """The label of left-out rows."""
        return MASKED_BESIDE_NOISE if self.noise else MASKED

    def write(self, block: Block, found: Assigned, sums: Sums) -> None:
        """Store what was found for the rows of `block`, then mark the block as done.

        Arrays in `found` may hold only the rows that are not left out. The others get fill values.
        """
        a, b = self.bounds[block.index], self.bounds[block.index + 1]
        values: dict[str, Array | None] = {
            "labels": found.labels,
            "score": found.score,
            "responsibilities": found.resp,
        }
        action = f"write the labels of block {block.index} to"
        with telling(action, self.location):
            group = self._arrays()
        with storing(action, self.location):
            crc = digest_of(self.key, block.index)
            for name in self.outputs:
                value = values[name]
                assert value is not None
                whole = _on_grid(value, block, self.masked if name == "labels" else np.nan)
                crc = put_rows(self.location, group[name], a, b, whole, crc)
            i = block.index
            put_rows(self.location, group["progress"], i, i + 1, _pack(sums, crc)[None])

    @apart
    def done(self, i: int) -> Sums | None:
        """Return the sums of block `i` if all its outputs are there and intact, else None."""
        a, b = self.bounds[i], self.bounds[i + 1]
        with telling(f"read the labels of block {i} in", self.location):
            group = self._arrays(strict=True)
            try:
                row = np.asarray(group["progress"][i])
                crc = digest_of(self.key, i)
                for name in self.outputs:  # Decoding verifies the checksum of each chunk.
                    crc = extend(crc, np.ascontiguousarray(group[name][a:b]))
            except Exception as error:  # codecs raise exceptions of any kind
                if is_access_failure(error) or isinstance(error, EmdistError) or is_defect(error):
                    raise
                # Not written yet, or lost or cut off by a crash. The caller writes the block again.
                return None
        return _unpack(row) if row[2] == crc else None

    @apart
    def finish(self) -> None:
        """Mark the labels as complete. Call this once every block is done."""
        with telling("complete the labels in", self.location):
            put_mark(self.location, {"complete": True})

    def _arrays(self, strict: bool = False) -> Mapping[str, zarr.Array[Any]]:
        """Return the open arrays, opened once per process. If `strict`, missing chunks raise."""
        layout = (self.outputs, *self.layout)
        return _opened(self.location, _options(self.location), layout, strict)


def _pack(sums: Sums, crc: int) -> Floats:
    """Return the progress row of a block: score, weight, digest, then a count per component."""
    return np.concatenate([[float(sums["score"]), float(sums["weight"]), crc], sums["count"]])


def _unpack(row: Floats) -> Sums:
    """Return the sums in a progress row."""
    return Sums({"score": np.array(row[0]), "weight": np.array(row[1]), "count": row[3:]})


def _on_grid(value: Array, block: Block, missing: float) -> Array:
    """Return `value` with a row for every row of `block`; left-out rows are set to `missing`."""
    if len(value) == len(block.x):
        return value
    whole = np.full((len(block.x), *value.shape[1:]), missing, value.dtype)
    whole[block.mask] = value
    return whole


def _options(location: Location) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(location.options.items()))


@lru_cache(maxsize=16)
def _opened(
    location: Location,
    options: tuple[tuple[str, str], ...],
    layout: tuple[Any, ...],
    strict: bool,
) -> Mapping[str, zarr.Array[Any]]:
    """Open the arrays, once per process.

    `options` is part of the cache key because a Location hashes by its URL only. `layout` is part
    of it because a worker outlives runs: it must not write new labels by the chunks of old ones.
    """
    store = open_zarr_store(location, read_only=False)
    if strict:
        store = Strict(store)
    # Chunks in which all rows are masked are written too, because a missing chunk means "not done".
    # Zarr neither stores this setting with the array nor accepts it on opening.
    written = {"write_empty_chunks": True}
    arrays = {}
    wanted = arrays_wanted(layout[0], *layout[1:])
    for name in (*layout[0], "progress"):
        array: Any = zarr.open_array(store, path=name, mode="r+")
        shape, chunks, dtype, _, _ = wanted[name]
        found = (array.shape, array.chunks, str(array.dtype))
        if found != (shape, chunks, dtype) or array.shards is not None:
            raise damaged(
                location,
                f"{name} has shape, chunks and dtype {found}, expected {(shape, chunks, dtype)}",
            )
        arrays[name] = bounded(array) if strict else array.with_config(written)
    return arrays
