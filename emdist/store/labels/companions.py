"""Companions of labels: coordinates and grid mapping, copied from the data as they are stored."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr

from emdist.errors import ConfigError
from emdist.store.grids.coordinates import Coordinates, DescribingArray
from emdist.store.labels.array_plans import COMPONENT, StoredOutputs
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.places.location import check_name


def companions(contents: StoredOutputs, coordinates: Coordinates) -> list[str]:
    """Return the names of the arrays that stand beside the outputs of a labelling."""
    own = [] if contents.component_labels() is None else [COMPONENT]
    return [*(one.name for one in coordinates.arrays), *own] if contents.on_grid else own


def check_names(contents: StoredOutputs, coordinates: Coordinates) -> None:
    """Raise ConfigError if the grid has a name that the labels themselves use."""
    if not contents.on_grid:
        return
    taken = {*OUTPUTS, COMPONENT, contents.layout.progress.partition("/")[0]}
    for name in (*contents.layout.dims, *(one.name for one in coordinates.arrays)):
        if name in taken:
            raise ConfigError(
                f"The data have a dimension or coordinate {name!r}, a name that labels use "
                f"themselves. Rename it: {', '.join(sorted(taken))} cannot be used."
            )
    for one in coordinates.arrays:
        if one.name in _NO_ARRAYS:
            raise ConfigError(
                f"The data have a coordinate {one.name!r}, and labels are stored with the "
                "coordinates of the data, but no Zarr array can have this name. Rename it, or drop "
                "it."
            )


#: Names of Zarr's own files, and of folders that mean themselves.
_NO_ARRAYS = (".", "..", "zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


def put_companions(
    contents: StoredOutputs,
    group: zarr.Group,
    coordinates: Coordinates,
    only: Sequence[str] | None = None,
) -> None:
    """Store the companions of a labelling in its group; those in `only`, if it is given."""
    wanted = companions(contents, coordinates)
    wanted = wanted if only is None else [name for name in wanted if name in only]
    for one in coordinates.arrays:
        if one.name in wanted:
            _copy(one, group)
    if COMPONENT in wanted:
        labels = np.array(contents.component_labels(), np.int32)
        attributes: dict[str, Any] = {
            "long_name": "component, or -1 for noise" if contents.noise else "component"
        }
        array = group.create_array(
            COMPONENT,
            shape=labels.shape,
            chunks=labels.shape,
            dtype="int32",
            dimension_names=(COMPONENT,),
            attributes=attributes,
            overwrite=True,
        )
        array[:] = labels


def _copy(found: DescribingArray, group: zarr.Group) -> None:
    """Copy one array, chunk by chunk."""
    check_name(found.name)
    # Zarr warns that the format of texts and dates is not final. They are copied as they came.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array: Any = group.create_array(
            found.name,
            shape=found.shape,
            chunks=found.chunks,
            dtype=_dtype(found.dtype),
            dimension_names=found.dims,
            attributes=found.attributes,
            overwrite=True,
        )
    for region, values in found.pieces():
        if array.ndim:
            array[region] = values
        else:
            array[()] = values.reshape(())[()]


def _dtype(stored: np.dtype[Any]) -> Any:
    """Return the dtype of a copy: texts of any length have one of their own."""
    return "string" if stored.kind in "OT" else stored
