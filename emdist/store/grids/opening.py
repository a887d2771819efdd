"""From stored data and a layout to a source: rows and columns, or variables on a grid."""

from __future__ import annotations

from functools import partial
from typing import Any

from emdist.inputs.layout import Layout
from emdist.interfaces import Floats
from emdist.store.grids.arrangement import Arrangement, arranged
from emdist.store.grids.axes import check_dims
from emdist.store.grids.grid_source import GridSource, grid_source
from emdist.store.grids.held import HeldVariable
from emdist.store.grids.members import (
    StoredMembers,
    coordinate_attributes,
    dims_of,
    has_named_dims,
)
from emdist.store.grids.stored import StoredVariable
from emdist.store.grids.variables import size_of
from emdist.store.sources.references import ArrayRef, open_checked
from emdist.store.sources.zarr_source import ZarrSource, zarr_source


def stored_source(
    ref: ArrayRef,
    layout: Layout,
    weight: Floats | HeldVariable | ArrayRef | str | None = None,
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
        The sample weights, in memory or stored; a text is the name of a variable of the group.
    reading
        ``block_bytes``, ``missing``, ``non_finite``, ``corrupt`` and ``decode``, as in
        `emdist.store.sources.zarr_source.zarr_source`.

    Raises
    ------
    DataError, ConfigError
        If the data, the layout or the weights are wrong. The subclass says what is.
    """
    if layout.trivial:
        array = open_checked(ref)
        if has_named_dims(array):
            check_dims(dims_of(array), str(ref), partial(coordinate_attributes, ref))
        assert not isinstance(weight, HeldVariable)
        if isinstance(weight, str):
            weight = ref.above().below(weight)
        return zarr_source(ref, weight, **reading)
    members = StoredMembers(ref, reading.get("decode", "cf"))
    plan = arranged(members, layout)
    plain = _plain(plan)
    if plain is not None and not isinstance(weight, str | HeldVariable):
        return zarr_source(plain, weight, **reading)
    return grid_source(members, plan, weight, **reading)


def _plain(plan: Arrangement) -> ArrayRef | None:
    """Return the array that is read if it is (rows, features) as it lies, or None."""
    if len(plan.columns) != 1 or plan.conditions or plan.scalars:
        return None
    (columns,) = plan.columns
    variable = columns.variable
    assert isinstance(variable, StoredVariable)
    if variable.dims != (*plan.samples, *columns.dims) or len(variable.dims) != 2:
        return None
    whole = plan.shape == variable.shape[:1] and len(plan.samples) == 1
    full = all(picked.at == range(size_of(variable, dim)) for dim, picked in columns.picked)
    return variable.ref if whole and full else None
