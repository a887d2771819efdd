"""Labels, scores and responsibilities as Zarr, written block by block, whole chunks at a time.

A group with one array per output, rows in the input's order, and ``progress``: one row per
block, written after the block's outputs. A block whose progress row is there is done; an
interrupted labelling goes on with the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zarr

from emdist.errors import ConfigError, EmdistError
from emdist.interfaces import Array, Assigned, Block, Floats
from emdist.store.bounded import bounded
from emdist.store.chunk_writing import packers, put_rows
from emdist.store.label_digest import DIGEST, digest_of, extended
from emdist.store.label_place import (
    MARK,
    OUTPUTS,
    check_place,
    damaged,
    label_mark,
    labels_of_other_files,
    remove,
    telling,
)
from emdist.store.location import Location, open_zarr_store
from emdist.store.references import Strict, is_access_failure
from emdist.store.run_record import digest
from emdist.sums import Sums

__all__ = [
    "OUTPUTS",
    "LabelWriter",
    "check_place",
    "chunk_rows",
    "label_mark",
    "label_writer",
    "labels_of_other_files",
]

#: Shape, chunks, dtype, fill value and dimension names of an array.
_Layout = tuple[tuple[int, ...], tuple[int, ...], str, Any, list[str]]

#: Label of rows that were left out by policy; beside noise, which has the label -1, another one.
MASKED, MASKED_BESIDE_NOISE = -1, -2
_MAX_CHUNK_ROWS = 1 << 22


@dataclass(frozen=True)
class LabelWriter:
    """Writes the outputs of blocks; small and picklable. Make one with `label_writer`.

    Attributes
    ----------
    location
        Of the group.
    outputs
        Names from `OUTPUTS`.
    bounds
        First row of each block, and the number of rows.
    n_components
        Columns of the responsibilities.
    noise
        Whether the last column is noise, whose rows have the label -1.
    key
        Whose labels these are: what their digests begin with.
    """

    location: Location
    outputs: tuple[str, ...]
    bounds: tuple[int, ...]
    n_components: int
    noise: bool = False
    key: str = ""

    @property
    def masked(self) -> int:
        """Label of rows that were left out by policy."""
        return MASKED_BESIDE_NOISE if self.noise else MASKED

    def write(self, block: Block, found: Assigned, sums: Sums) -> None:
        """Store what was found for the rows of `block` that count, then mark it done."""
        a, b = self.bounds[block.index], self.bounds[block.index + 1]
        values: dict[str, Array | None] = {
            "labels": found.labels,
            "score": found.score,
            "responsibilities": found.resp,
        }
        with telling(f"write the labels of block {block.index} to", self.location):
            group = self._arrays()
            crc = digest_of(self.key, block.index)
            for name in self.outputs:
                value = values[name]
                assert value is not None
                whole = _on_grid(value, block, self.masked if name == "labels" else np.nan)
                crc = put_rows(self.location, group[name], a, b, whole, crc)
            i = block.index
            put_rows(self.location, group["progress"], i, i + 1, _pack(sums, crc)[None])

    def done(self, i: int) -> Sums | None:
        """What was summed over block `i` if all its outputs are there and intact, else None."""
        a, b = self.bounds[i], self.bounds[i + 1]
        with telling(f"read the labels of block {i} in", self.location):
            group = self._arrays(strict=True)
            try:
                row = np.asarray(group["progress"][i])
                crc = digest_of(self.key, i)
                for name in self.outputs:  # decoding verifies the checksum of each chunk
                    crc = extended(crc, np.asarray(group[name][a:b]))
            except Exception as error:
                if is_access_failure(error) or isinstance(error, EmdistError):
                    raise
                # Not written yet, or lost or torn by a crash: written again.
                return None
        return _unpack(row) if row[2] == crc else None

    def _arrays(self, strict: bool = False) -> Mapping[str, zarr.Array[Any]]:
        """The open arrays, once per process; missing chunks raise if `strict`."""
        layout = (self.outputs, *_layout(self))
        return _opened(self.location, _options(self.location), layout, strict)


def _pack(sums: Sums, crc: int) -> Floats:
    return np.concatenate([[float(sums["score"]), float(sums["weight"]), crc], sums["count"]])


def _unpack(row: Floats) -> Sums:
    return Sums({"score": np.array(row[0]), "weight": np.array(row[1]), "count": row[3:]})


def _on_grid(value: Array, block: Block, missing: float) -> Array:
    if len(value) == len(block.x):
        return value
    whole = np.full((len(block.x), *value.shape[1:]), missing, value.dtype)
    whole[block.mask] = value
    return whole


def _options(location: Location) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(location.options.items()))


def _layout(writer: LabelWriter) -> tuple[int, int, int]:
    """All that the shapes and chunks of the arrays follow from: rows, rows of a block, columns."""
    return writer.bounds[-1], writer.bounds[1] - writer.bounds[0], writer.n_components


@lru_cache(maxsize=16)
def _opened(
    location: Location,
    options: tuple[tuple[str, str], ...],
    layout: tuple[Any, ...],
    strict: bool,
) -> Mapping[str, zarr.Array[Any]]:
    """The open arrays, once per process.

    `options` is part of the key because a Location hashes by URL alone, and `layout` because a
    worker outlives runs: it must not write into new labels by the chunks of old ones.
    """
    store = open_zarr_store(location, read_only=False)
    if strict:
        store = Strict(store)
    # A chunk that is masked throughout is written too: absence means "not done". Zarr neither
    # stores this setting with the array nor takes it when it opens one.
    written = {"write_empty_chunks": True}
    arrays = {}
    wanted = _wanted(layout[0], *layout[1:])
    for name in (*layout[0], "progress"):
        array: Any = zarr.open_array(store, path=name, mode="r+")
        shape, chunks, dtype, _, _ = wanted[name]
        found = (array.shape, array.chunks, str(array.dtype))
        if found != (shape, chunks, dtype) or array.shards is not None:
            raise damaged(location, f"{name} is {found}, not {(shape, chunks, dtype)}")
        arrays[name] = bounded(array) if strict else array.with_config(written)
    return arrays


def _wanted(
    outputs: tuple[str, ...], rows: int, block: int, k: int, fill: int = MASKED, dim: str = "row"
) -> dict[str, _Layout]:
    """How each array of a labelling is laid out; `fill` is the label of rows left out."""
    chunk = chunk_rows((*range(0, rows, block), rows))
    shapes: dict[str, _Layout] = {
        "labels": ((rows,), (chunk,), "int32", fill, [dim]),
        "score": ((rows,), (chunk,), "float64", np.nan, [dim]),
        "responsibilities": ((rows, k), (chunk, k), "float32", np.nan, [dim, "component"]),
    }
    blocks = -(-rows // block)
    progress = ((blocks, 3 + k), (1, 3 + k), "float64", np.nan, ["block", "sum"])
    return {name: shapes[name] for name in outputs} | {"progress": progress}


def label_writer(
    location: Location,
    outputs: tuple[str, ...],
    bounds: tuple[int, ...],
    n_components: int,
    identity: Mapping[str, Any],
    dimension: str = "row",
    overwrite: bool = False,
    noise: bool = False,
    stamps: Mapping[str, str] | None = None,
) -> LabelWriter:
    """Create the arrays at `location`, or go on with those of the same labelling.

    Parameters
    ----------
    location
        Of the group; created if there is nothing.
    outputs
        Names from `OUTPUTS`.
    bounds
        Of the source's blocks, all equally long but the last.
    n_components
        Components of the model.
    identity
        JSON that says which model labels which data; another one there is refused.
    dimension
        Name of the rows' dimension.
    overwrite
        Whether what is there may be replaced.
    noise
        Whether the last of the components is noise: its label is -1, and that of rows left out by
        policy then -2.
    stamps
        Of the data's files, where that is not looked at elsewhere: labels of files with other
        ones are begun anew.

    Raises
    ------
    OutputExistsError
        If something else is there.
    RunMismatchError
        If labels of another model or other data are there.
    """
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown or not outputs:
        raise ConfigError(
            f"label outputs {list(outputs)} hold {unknown or 'nothing'}; choose from "
            f"{', '.join(OUTPUTS)}."
        )
    chunk_rows(bounds)  # refuses what it cannot divide, before anything is changed
    writer = LabelWriter(location, outputs, bounds, n_components, noise, digest(dict(identity)))
    found = check_place(location, identity, outputs, overwrite, _layout(writer))
    if found == "continue" and labels_of_other_files(location, identity, stamps or {}):
        found = "replace"
    with telling("create the labels in", location):
        if found == "replace":
            remove(location)
        if found != "continue":
            _create(writer, identity, dimension, stamps or {})
        writer._arrays()  # opened here, rather than by each of the threads that begin
    return writer


def _create(
    writer: LabelWriter, identity: Mapping[str, Any], dimension: str, stamps: Mapping[str, str]
) -> None:
    store = open_zarr_store(writer.location, read_only=False)
    mark: dict[str, Any] = {
        "identity": dict(identity),
        "outputs": list(writer.outputs),
        "layout": list(_layout(writer)),
        "digest": DIGEST,
        "stamps": dict(stamps),
    }
    if writer.noise:
        mark["left_out"], mark["noise"] = writer.masked, -1
    group = zarr.create_group(store, attributes={MARK: mark | {"complete": False}})
    wanted = _wanted(writer.outputs, *_layout(writer), fill=writer.masked, dim=dimension)
    for name, (shape, chunks, dtype, fill, dims) in wanted.items():
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            compressors=packers(dtype, chunks),
            dimension_names=dims,
        )
    group.attrs[MARK] = mark | {"complete": True}


def chunk_rows(bounds: tuple[int, ...]) -> int:
    """Rows of an output chunk: a block, or an equal part of one where blocks are very long."""
    rows = bounds[1] - bounds[0]
    if any(b - a != rows for a, b in itertools.pairwise(bounds[:-1])):
        raise ConfigError(
            "Labels can be written only where all blocks but the last are equally long, so that "
            "each block fills whole chunks. Rechunk the input evenly."
        )
    if len(bounds) == 2:  # no other block whose chunks could be shared
        return min(rows, _MAX_CHUNK_ROWS)
    fewest = -(-rows // _MAX_CHUNK_ROWS)
    # A long block may have no even division near the wanted one (a prime number of rows has
    # none): then a large chunk rather than millions of small ones.
    parts = next((n for n in range(fewest, 16 * fewest) if rows % n == 0), 1)
    return rows // parts
