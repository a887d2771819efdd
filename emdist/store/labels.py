"""Labels, scores and responsibilities as Zarr, written block by block, whole chunks at a time.

A group with one array per output, rows in the input's order, and ``progress``: one row per
block, written after the block's outputs. A block whose progress row is there is done; an
interrupted labelling goes on with the others.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from emdist.errors import (
    CheckpointError,
    ConfigError,
    NotFoundError,
    OutputExistsError,
    RunMismatchError,
)
from emdist.interfaces import Array, Assigned, Block, Floats
from emdist.store.faults import object_told, told
from emdist.store.files import open_folder
from emdist.store.location import Location, open_zarr_store
from emdist.sums import Sums

#: Shape, chunks, dtype, fill value and dimension names of an array.
_Layout = tuple[tuple[int, ...], tuple[int, ...], str, Any, list[str]]

#: What can be written, by the name of the array.
OUTPUTS = ("labels", "score", "responsibilities")
#: Label of rows that were left out by policy.
MASKED = -1
_MAX_CHUNK_ROWS = 1 << 22
_MARK = "emdist"
_META_LIMIT = 1 << 24


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
    """

    location: Location
    outputs: tuple[str, ...]
    bounds: tuple[int, ...]
    n_components: int

    def write(self, block: Block, found: Assigned, sums: Sums) -> None:
        """Store what was found for the rows of `block` that count, then mark it done."""
        a, b = self.bounds[block.index], self.bounds[block.index + 1]
        values: dict[str, Array | None] = {
            "labels": found.labels,
            "score": found.score,
            "responsibilities": found.resp,
        }
        with _telling(f"write the labels of block {block.index} to", self.location):
            group = _group(self.location, _options(self.location))
            for name in self.outputs:
                value = values[name]
                assert value is not None
                group[name][a:b] = _on_grid(value, block, MASKED if name == "labels" else np.nan)
            group["progress"][block.index] = _pack(sums)

    def done(self, i: int) -> Sums | None:
        """What was summed over block `i` if all its outputs are there and intact, else None."""
        group = _group(self.location, _options(self.location))
        a, b = self.bounds[i], self.bounds[i + 1]
        try:
            row = np.asarray(group["progress"][i])
            if np.isnan(row[0]):
                return None
            for name in self.outputs:
                group[name][a:b]  # decoding verifies the checksum
        except (RuntimeError, ValueError, OSError):
            # Torn by a crash: written again.
            return None
        return _unpack(row)


def _telling(action: str, location: Location) -> AbstractContextManager[None]:
    return told(action, location) if location.is_local else object_told(action, location)


def _pack(sums: Sums) -> Floats:
    return np.concatenate([[float(sums["score"]), float(sums["weight"])], sums["count"]])


def _unpack(row: Floats) -> Sums:
    return Sums({"score": np.array(row[0]), "weight": np.array(row[1]), "count": row[2:]})


def _on_grid(value: Array, block: Block, missing: float) -> Array:
    if len(value) == len(block.x):
        return value
    whole = np.full((len(block.x), *value.shape[1:]), missing, value.dtype)
    whole[block.mask] = value
    return whole


def _options(location: Location) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(location.options.items()))


@lru_cache(maxsize=16)
def _group(location: Location, options: tuple[tuple[str, str], ...]) -> Any:
    """The open group, once per process; `options` because a Location hashes by URL alone."""
    group = zarr.open_group(open_zarr_store(location, read_only=False), mode="r+")
    return dict(group.arrays())


def label_writer(
    location: Location,
    outputs: tuple[str, ...],
    bounds: tuple[int, ...],
    n_components: int,
    identity: Mapping[str, Any],
    dimension: str = "row",
    overwrite: bool = False,
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
    writer = LabelWriter(location, outputs, bounds, n_components)
    found = check_place(location, identity, outputs, overwrite)
    with _telling("create the labels in", location):
        if found == "replace":
            _remove(location)
        if found != "continue":
            _create(writer, identity, dimension)
    return writer


def check_place(
    location: Location, identity: Mapping[str, Any], outputs: tuple[str, ...], overwrite: bool
) -> str:
    """What labelling into `location` would do there: "create", "continue" or "replace".

    Changes nothing, so that a long fit can be refused before it starts; errors as
    `label_writer`.
    """
    with _telling("look for labels in", location):
        if open_folder(location).is_empty():
            return "create"
        mark = label_mark(location)
    if mark is None:
        raise OutputExistsError(
            f"There is already something at {location} that emdist did not write. Nothing was "
            "changed. Name another place for the labels."
        )
    if mark.get("identity") == dict(identity):
        same = mark.get("outputs") == list(outputs) and mark.get("complete")
        # Cut off while creating, or other outputs of the same model: start over.
        return "continue" if same else "replace"
    if overwrite:
        return "replace"
    raise RunMismatchError(
        f"{location} holds labels of another model or of other data. Nothing was changed. "
        "Name another place for the labels, or allow overwriting them."
    )


def label_mark(location: Location) -> dict[str, Any] | None:
    """What `_create` wrote about a group, or None if emdist did not write it."""
    try:
        raw = json.loads(open_folder(location).read("zarr.json", _META_LIMIT))
        mark = raw["attributes"][_MARK]
    except (NotFoundError, CheckpointError, ValueError, KeyError, TypeError):
        return None
    return mark if isinstance(mark, dict) else None


def _remove(location: Location) -> None:
    """Delete a group that carries emdist's own mark, and nothing else."""
    folder = open_folder(location)
    for name in (*OUTPUTS, "progress", "zarr.json"):
        folder.delete(name)
    _group.cache_clear()


def _create(writer: LabelWriter, identity: Mapping[str, Any], dimension: str) -> None:
    rows = writer.bounds[-1]
    store = open_zarr_store(writer.location, read_only=False)
    mark: dict[str, Any] = {"identity": dict(identity), "outputs": list(writer.outputs)}
    group = zarr.create_group(store, attributes={_MARK: mark | {"complete": False}})
    chunk = chunk_rows(writer.bounds)
    k = writer.n_components
    shapes: dict[str, _Layout] = {
        "labels": ((rows,), (chunk,), "int32", MASKED, [dimension]),
        "score": ((rows,), (chunk,), "float64", np.nan, [dimension]),
        "responsibilities": ((rows, k), (chunk, k), "float32", np.nan, [dimension, "component"]),
    }
    blocks = len(writer.bounds) - 1
    progress = ((blocks, 2 + k), (1, 2 + k), "float64", np.nan, ["block", "sum"])
    wanted = {name: shapes[name] for name in writer.outputs} | {"progress": progress}
    for name, (shape, chunks, dtype, fill, dims) in wanted.items():
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            compressors=ZstdCodec(level=1, checksum=True),
            dimension_names=dims,
            # An all-masked chunk is written too: absence means "not done".
            config={"write_empty_chunks": True},
        )
    group.attrs[_MARK] = mark | {"complete": True}


def chunk_rows(bounds: tuple[int, ...]) -> int:
    """Rows of an output chunk: a block, or an equal part of one where blocks are very long."""
    rows = bounds[1] - bounds[0]
    if any(b - a != rows for a, b in itertools.pairwise(bounds[:-1])):
        raise ConfigError(
            "Labels can be written only where all blocks but the last are equally long, so that "
            "each block fills whole chunks. Rechunk the input evenly."
        )
    parts = -(-rows // _MAX_CHUNK_ROWS)
    while rows % parts:
        parts += 1
    return rows // parts
