"""From stored data and a layout to a source: rows and columns, or variables on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import zarr

from emdist.errors import ConfigError, NotAnArrayError
from emdist.inputs.layout import Layout, is_name
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import listed
from emdist.interfaces import Floats
from emdist.store.grids.arrangement import Arrangement, arranged
from emdist.store.grids.axes import check_dims
from emdist.store.grids.comparing import check_weights_along
from emdist.store.grids.coordinates import described_grid
from emdist.store.grids.grid_source import GridSource, grid_source
from emdist.store.grids.members import (
    StoredMembers,
    coordinate_attributes,
    dims_of,
    has_named_dims,
)
from emdist.store.grids.named_rows import named_rows
from emdist.store.grids.stored import StoredVariable
from emdist.store.grids.variables import Members, size_of
from emdist.store.places.location import Location
from emdist.store.sources.arrays import check_matrix
from emdist.store.sources.other_files import sparse_advice
from emdist.store.sources.references import ArrayRef, open_checked
from emdist.store.sources.zarr_source import ZarrSource, zarr_source


def stored_source(
    ref: ArrayRef,
    layout: Layout,
    weight: Floats | Members | ArrayRef | str | None = None,
    rows: str | None = None,
    **reading: Any,
) -> ZarrSource | GridSource:
    """Return stored data as a source.

    Parameters
    ----------
    ref
        The reference of a Zarr array, or of a group.
    layout
        How rows are made of it. If nothing is said, it is an array (rows, features).
    weight
        The sample weights, in memory or stored; a text is the name of a variable of the group, as
        `stored_weights` returns it.
    rows
        The positions of the first sample dimension that are read, as a slice such as ``500:``. Data
        that grow behind them are the same data.
    reading
        ``block_bytes``, ``missing``, ``non_finite``, ``corrupt`` and ``decode``, as in
        `emdist.store.sources.zarr_source.zarr_source`.

    Raises
    ------
    DataError, ConfigError
        If the data, the layout or the weights are wrong. The subclass says what is.
    """
    plainly = weight is None or isinstance(weight, np.ndarray | ArrayRef)
    array = _array(ref) if layout.trivial and plainly else None
    if array is not None and rows is not None:
        check_matrix(array.shape, str(ref))
        layout = replace(layout, samples=dims_of(array)[:1])
    elif array is not None:
        if has_named_dims(array):
            check_dims(dims_of(array), str(ref), partial(coordinate_attributes, ref))
        return _rows(ref, weight, reading)
    members = StoredMembers(ref, reading.get("decode", "cf"))
    plan = arranged(members, layout)
    if rows is not None:
        dim = plan.samples[0]
        if dim in dict(layout.select):
            raise ConfigError(
                f"data.select_rows and data.select both say what to read of {dim}. Set only one of "
                "the two."
            )
        layout = replace(layout, select=(*layout.select, (dim, {"index": rows})))
        plan = arranged(members, layout)
        return grid_source(members, plan, weight, growing=True, **reading)
    plain = _plain(plan)
    if plain is not None and plainly:
        found = _rows(plain, weight, reading)
        return named_rows(found, plan.samples[0], described_grid(members, plan))
    return grid_source(members, plan, weight, **reading)


def stored_weights(
    ref: ArrayRef, layout: Layout, text: str, storage_options: Mapping[str, str] | None = None
) -> ArrayRef | str:
    """Return sample weights that are given as a text: a variable beside the data, or an array.

    Raises
    ------
    NotAnArrayError
        If the text is the name of a variable that does not exist.
    """
    if layout.trivial or not is_name(text):
        return ArrayRef(Location(text, storage_options or {}))
    known = StoredMembers(ref).names()
    if text not in known:
        raise NotAnArrayError(
            f"data.weights is {text!r:.60}, but {ref} has no such variable{nearest(text, known)}. "
            f"It has {listed(known) or 'no arrays'}. Write ./{text:.60} for the path of an array."
        )
    return text


def _rows(ref: ArrayRef, weight: Any, reading: Mapping[str, Any]) -> ZarrSource:
    """Return an array (rows, features) as it lies as a source."""
    found = zarr_source(ref, weight, **reading)
    if isinstance(weight, ArrayRef):
        dim, own = (dims_of(open_checked(one))[0] for one in (ref, weight))
        if dim == own:
            data, weights = (StoredMembers(one).coordinate(dim) for one in (ref, weight))
            check_weights_along(dim, str(weight), weights, data)
    return found


def _array(ref: ArrayRef) -> zarr.Array[Any] | None:
    """Return the array at `ref`; None for a group that has variables.

    Raises the errors of `open_checked` for anything else.
    """
    try:
        return open_checked(ref)
    except NotAnArrayError as refused:
        try:
            sparse = sparse_advice(ref.open_group().attrs, str(ref))
            known = StoredMembers(ref).data_variables()
        except Exception:  # noqa: BLE001  what is there cannot be listed; the first error tells it
            raise refused from None
        if sparse or not known:
            raise
        return None


def _plain(plan: Arrangement) -> ArrayRef | None:
    """Return the array that is read if it is (rows, features) as it lies, or None."""
    if len(plan.columns) != 1 or plan.conditions or plan.scalars or plan.taken:
        return None
    (columns,) = plan.columns
    variable = columns.variable
    assert isinstance(variable, StoredVariable)
    if variable.dims != (*plan.samples, *columns.dims) or len(variable.dims) != 2:
        return None
    whole = plan.shape == variable.shape[:1] and len(plan.samples) == 1
    full = all(picked.at == range(size_of(variable, dim)) for dim, picked in columns.picked)
    return variable.ref if whole and full else None
