"""From stored data and a layout to a source: rows and columns, or variables on a grid."""

from __future__ import annotations

from typing import Any

from emdist.errors import ShapeError
from emdist.inputs.layout import Layout
from emdist.interfaces import Floats
from emdist.store.grids.arrangement import Arrangement, arranged
from emdist.store.grids.grid_source import GridSource, grid_source
from emdist.store.grids.members import StoredMembers, dims_of, has_named_dims
from emdist.store.grids.stored import StoredVariable
from emdist.store.grids.variables import size_of
from emdist.store.sources.references import ArrayRef, open_checked
from emdist.store.sources.zarr_source import ZarrSource, zarr_source

#: Names of spatial dimensions, of time, and of dimensions that number features.
_SPATIAL = frozenset(
    ("x", "y", "lat", "lon", "latitude", "longitude", "easting", "northing", "nav_lat", "nav_lon",
     "xc", "yc", "rlat", "rlon", "xt_ocean", "yt_ocean", "height", "width")
)  # fmt: skip
_TIME = frozenset(("time", "t", "date", "datetime", "times"))
_FEATURES = frozenset(("feature", "features", "variable", "variables", "band", "bands", "channel"))


def stored_source(
    ref: ArrayRef,
    layout: Layout,
    weight: Floats | ArrayRef | str | None = None,
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
        check_dims(dims_of(array) if has_named_dims(array) else (), array.ndim, str(ref))
        if isinstance(weight, str):
            weight = ref.above().below(weight)
        return zarr_source(ref, weight, **reading)
    members = StoredMembers(ref, reading.get("decode", "cf"))
    plain = _plain(arranged(members, layout))
    if plain is not None and not isinstance(weight, str):
        return zarr_source(plain, weight, **reading)
    return grid_source(members, layout, weight, **reading)


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


def check_dims(dims: tuple[str, ...], ndim: int, what: str) -> None:
    """Check that the first dimension has the rows and the second the features, as far as names say.

    Parameters
    ----------
    dims
        The names of the dimensions; empty if they have none.
    ndim
        The number of dimensions.
    what
        How messages name the data.

    Raises
    ------
    ShapeError
        If it must be said which dimensions make up the rows.
    """
    if not dims:
        return
    names = [dim.lower() for dim in dims]
    remedy = (
        "Say which of them make up the rows, in data.samples, or the features, in data.features"
    )
    if ndim > 2:
        raise ShapeError(
            f"{what} has {ndim} dimensions, {', '.join(dims)}; expected 2: (rows, features). "
            f"{remedy}."
        )
    if ndim < 2:
        return
    if all(name in _SPATIAL for name in names):
        why = "both are spatial, so that each row would be a line of a map"
        both = f", such as {list(dims)} if each point is a row"
    elif names[1] in _TIME:
        why = f"{dims[1]} would make up the features, and {dims[0]} the rows"
        both = ""
    elif names[0] in _FEATURES:
        why = f"{dims[0]} would make up the rows, and {dims[1]} the features"
        both = ""
    else:
        return
    raise ShapeError(f"{what} has the dimensions ({', '.join(dims)}): {why}. {remedy}{both}.")
