"""Label writer: stores labels and other outputs as Zarr arrays, block by block.

A group has one array for each output, with rows in the order or on the grid of the input, and
``progress`` with one row for each block. The progress row is written after the block's outputs, so
a block with a progress row is done. A resumed labelling computes the other blocks. Blocks are whole
chunks, so no two writers change the same chunk.
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
from emdist.store.chunks.writing import put_part
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.array_plans import StoredOutputs
from emdist.store.labels.digest import digest_of
from emdist.store.labels.outputs import OUTPUTS
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
    contents
        What is stored: outputs, layout and columns.
    key
        The identity of the labels, with which their digests begin.
    earlier
        For labels that have grown, pairs of a number of blocks and of the key of their digests: it
        is that of the blocks from the first, as far as no pair before has them.
    """

    location: Location
    contents: StoredOutputs
    key: str = ""
    earlier: tuple[tuple[int, str], ...] = ()

    def _key_of(self, i: int) -> str:
        """Return the key of the digest of block `i`."""
        return next((key for blocks, key in self.earlier if i < blocks), self.key)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that are written, names from `OUTPUTS`."""
        return self.contents.outputs

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the labels."""
        return self.contents.layout.bounds

    @property
    def n_components(self) -> int:
        """The number of columns of the responsibilities."""
        return self.contents.n_columns

    @property
    def noise(self) -> bool:
        """Whether the last column is the noise component, whose rows have the label -1."""
        return self.contents.noise

    def write(self, block: Block, found: Assigned, sums: Sums) -> None:
        """Store what was found for the rows of `block`, then mark the block as done.

        Arrays in `found` may hold only the rows that are not left out. The others get fill values.
        """
        i, layout = block.index, self.contents.layout
        region, columns = layout.region(i), np.array(self.contents.columns)
        action = f"write the labels of block {i} to"
        with telling(action, self.location):
            arrays = self._arrays()
        with storing(action, self.location):
            crc = digest_of(self._key_of(i), i)
            for name in self.outputs:
                output = OUTPUTS[name]
                value = _whole(output.compute(found, columns), block, self.contents.fill(name))
                value = _placed(value, region, output.components)
                place = _extended(region, output.components, arrays[name])
                crc = put_part(self.location, arrays[name], place, value, crc)
            noted = arrays[layout.progress]
            row = (slice(i, i + 1), slice(0, noted.shape[1]))
            put_part(self.location, noted, row, _pack(sums, crc)[None])

    @apart
    def done(self, i: int) -> Sums | None:
        """Return the sums of block `i` if all its outputs are there and intact, else None."""
        layout = self.contents.layout
        region = layout.region(i)
        with telling(f"read the labels of block {i} in", self.location):
            group = self._arrays(strict=True)
            try:
                row = np.asarray(group[layout.progress][i])
                crc = digest_of(self._key_of(i), i)
                for name in self.outputs:  # Decoding verifies the checksum of each chunk.
                    place = _extended(region, OUTPUTS[name].components, group[name])
                    crc = extend(crc, np.ascontiguousarray(group[name][place]))
            except Exception as error:  # codecs raise exceptions of any kind
                if is_access_failure(error) or isinstance(error, EmdistError) or is_defect(error):
                    raise
                # Not written yet, or lost or cut off by a crash. The caller writes the block again.
                return None
        return sums_in(row) if row[2] == crc else None

    @apart
    def finish(self) -> None:
        """Mark the labels as complete. Call this once every block is done."""
        with telling("complete the labels in", self.location):
            put_mark(self.location, {"complete": True})

    def _arrays(self, strict: bool = False) -> Mapping[str, zarr.Array[Any]]:
        """Return the open arrays, opened once per process. If `strict`, missing chunks raise."""
        return _opened(self.location, _options(self.location), self.contents, strict)


def _pack(sums: Sums, crc: int) -> Floats:
    """Return the progress row of a block: score, weight, digest, then a count per component."""
    return np.concatenate([[float(sums["score"]), float(sums["weight"]), crc], sums["count"]])


def sums_in(row: Floats) -> Sums:
    """Return the sums in a progress row."""
    return Sums({"score": np.array(row[0]), "weight": np.array(row[1]), "count": row[3:]})


def _whole(value: Array, block: Block, missing: float) -> Array:
    """Return `value` with a row for every row of `block`; left-out rows are set to `missing`."""
    if len(value) == len(block.x):
        return value
    whole = np.full((len(block.x), *value.shape[1:]), missing, value.dtype)
    whole[block.mask] = value
    return whole


def _placed(value: Array, region: tuple[slice, ...], components: str) -> Array:
    """Return the rows of a block in the shape of its part of an array."""
    size = [part.stop - part.start for part in region]
    value = value.reshape(*size, *value.shape[1:])
    return np.moveaxis(value, -1, 0) if components == "first" else value


def _extended(
    region: tuple[slice, ...], components: str, array: zarr.Array[Any]
) -> tuple[slice, ...]:
    """Return the part of an array that has all components of the rows in `region`."""
    if components == "first":
        return (slice(0, array.shape[0]), *region)
    return (*region, slice(0, array.shape[-1])) if components else region


def _options(location: Location) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(location.options.items()))


@lru_cache(maxsize=16)
def _opened(
    location: Location,
    options: tuple[tuple[str, str], ...],
    contents: StoredOutputs,
    strict: bool,
) -> Mapping[str, zarr.Array[Any]]:
    """Open the arrays, once per process.

    `options` is part of the cache key because a Location hashes by its URL only. `contents` is part
    of it because a worker outlives runs: it must not write new labels by the chunks of old ones.
    """
    store = open_zarr_store(location, read_only=False)
    if strict:
        store = Strict(store)
    # Chunks in which all rows are masked are written too, because a missing chunk means "not done".
    # Zarr neither stores this setting with the array nor accepts it on opening.
    written = {"write_empty_chunks": True}
    arrays = {}
    for path, plan in contents.arrays().items():
        array: Any = zarr.open_array(store, path=path, mode="r+")
        found = (array.shape, array.chunks, str(array.dtype))
        wanted = (plan.shape, plan.chunks, plan.dtype)
        if found != wanted or array.shards is not None:
            raise damaged(
                location, f"{path} has shape, chunks and dtype {found}, expected {wanted}"
            )
        arrays[path] = bounded(array) if strict else array.with_config(written)
    return arrays
