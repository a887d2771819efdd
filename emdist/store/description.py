"""Descriptions of Zarr arrays and of groups of labels, as dictionaries for `emdist inspect`.

Only metadata and names are read, unless verification of labels is requested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from emdist.errors import DtypeError, EmdistError, ShapeError
from emdist.store.chunks.layout import chunk_keys, unit_rows, unit_shape
from emdist.store.grids.members import StoredMembers
from emdist.store.labels.check import damaged_blocks
from emdist.store.labels.layouts import GridLayout, layout_in_mark
from emdist.store.labels.place import label_mark
from emdist.store.labels.progress import read_progress
from emdist.store.places.location import Location
from emdist.store.sources.arrays import check_matrix
from emdist.store.sources.cf import packing
from emdist.store.sources.feature_names import stored_names
from emdist.store.sources.plan import block_bounds, usable_dtype
from emdist.store.sources.references import ArrayRef, open_checked
from emdist.sums import whole


def describe_array(ref: ArrayRef) -> dict[str, Any]:
    """Return shape, storage and block plan of an array. Raises the errors of `zarr_source`."""
    array = open_checked(ref)
    wanted = math.prod(-(-n // c) for n, c in zip(array.shape, unit_shape(array), strict=True))
    found: dict[str, Any] = {
        "kind": "array",
        "array": str(ref),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "bytes_decoded": math.prod(array.shape) * array.dtype.itemsize,
        "chunks": list(array.chunks),
        "shards": None if array.shards is None else list(array.shards),
        "codecs": [type(codec).__name__ for codec in array.compressors],
        "objects_stored": len(chunk_keys(array)),
        "objects_wanted": wanted,
        "dimensions": list(getattr(array.metadata, "dimension_names", None) or []),
    }
    try:
        how = packing(array, str(ref))
        if how is not None:
            found["decoded"] = str(how)
        usable = usable_dtype(np.dtype(how.dtype) if how else array.dtype, str(ref))
    except DtypeError as error:
        found["cannot_be_clustered"] = str(error)
        return found
    if array.ndim != 2:
        found["cannot_be_clustered"] = (
            f"the array has {array.ndim} dimension(s), expected 2: (rows, features); say which of "
            "them make up the rows, in data.samples"
        )
        return found
    if (names := stored_names(array, ref)) is not None:
        found["feature_names"] = list(names)
    row_bytes = array.shape[1] * usable.itemsize
    try:
        check_matrix(array.shape, str(ref))
        bounds = block_bounds(array.shape[0], row_bytes, unit_rows(array), None)
    except ShapeError as error:
        found["cannot_be_clustered"] = str(error)
        return found
    found["blocks"] = len(bounds) - 1
    found["block_bytes"] = (bounds[1] - bounds[0]) * row_bytes
    return found


def _grid_of(mark: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dimensions of labels on a grid, and nothing for those of rows."""
    found = layout_in_mark(mark)
    if found is None or not isinstance(found[0], GridLayout):
        return {}
    layout = found[0]
    sizes = dict(zip(layout.dims, layout.shape, strict=True))
    return {"dimensions": sizes, "chunks": list(layout.chunks)}


def describe_group(ref: ArrayRef) -> dict[str, Any] | None:
    """Return the variables and dimensions of a Zarr group, or None if no array is there in one."""
    try:
        members = StoredMembers(ref)
    except EmdistError:
        return None
    if members.is_array or not members.names():
        return None
    coordinates = {}
    variables = {name: members.shown(name) for name in members.data_variables()}
    for name in members.names():
        if name in variables:
            continue
        values = members.coordinate(name)
        if values is None or not len(values):
            variables[name] = members.shown(name)
            continue
        ends = f"{values[0]} to {values[-1]}, " if len(values) > 1 else f"{values[0]}, "
        coordinates[name] = f"{ends}{len(values)} position{'s' * (len(values) > 1)}"
    return {
        "kind": "group",
        "group": str(ref),
        "variables": variables,
        "dimensions": coordinates,
    }


def describe_labels(location: Location, verify: bool = False) -> dict[str, Any] | None:
    """Return outputs and progress of a group of labels, or None if there is no such group.

    If `verify`, all labels are read and compared with their digests.
    """
    mark = label_mark(location)
    if mark is None:
        return None
    noted = read_progress(location)
    found = {
        "kind": "labels",
        "labels": str(location),
        "outputs": mark.get("outputs"),
        **_grid_of(mark),
        "blocks_done": len(noted.done),
        "blocks": noted.blocks,
        "complete": len(noted.done) == noted.blocks,
    }
    if verify:
        found["blocks_damaged"] = list(damaged_blocks(location))
    if "noise" in mark:
        found["noise"] = {"label": mark["noise"], "rows": whole(noted.rows[:, -1].sum())}
        found["left_out"] = {"label": mark.get("left_out")}
    return found
