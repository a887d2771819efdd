"""Axes: what the dimensions of an array are, by their names and coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from emdist.errors import ShapeError

#: What a dimension is: a direction of a map, time, a number of features, or anything else.
Kind = Literal["space", "time", "features", ""]

_SPACE = frozenset(
    ("x", "y", "lat", "lon", "latitude", "longitude", "easting", "northing", "nav_lat", "nav_lon",
     "xc", "yc", "rlat", "rlon", "xt_ocean", "yt_ocean", "height", "width",
     "i", "j", "ni", "nj", "xh", "yh", "xq", "yq")
)  # fmt: skip
_TIME = frozenset(("time", "t", "date", "datetime", "times"))
_FEATURES = frozenset(("feature", "features", "variable", "variables", "band", "bands", "channel"))
#: Standard names of coordinates on a map (CF conventions, section 4 and appendix F).
_STANDARD = frozenset(
    ("latitude", "longitude", "projection_x_coordinate", "projection_y_coordinate",
     "grid_latitude", "grid_longitude")
)  # fmt: skip


def kind_of(dim: str, attributes: Mapping[str, Any]) -> Kind:
    """Return what a dimension is, by its name and by the attributes of its coordinate."""
    name, units = dim.lower(), str(attributes.get("units", "")).lower()
    axis, standard = attributes.get("axis"), attributes.get("standard_name")
    if axis in ("X", "Y") or standard in _STANDARD or name in _SPACE:
        return "space"
    if units.startswith(("degrees_n", "degrees_e", "degree_n", "degree_e")):
        return "space"
    if axis == "T" or standard == "time" or name in _TIME or " since " in units:
        return "time"
    return "features" if name in _FEATURES else ""


def check_unique_dims(dims: tuple[str, ...], what: str) -> None:
    """Raise ShapeError if two dimensions of `what` have the same name."""
    if len(set(dims)) < len(dims):
        raise ShapeError(
            f"{what} has the dimensions {', '.join(dims)}, of which two have the same name. Rename "
            "one."
        )


def check_dims(
    dims: tuple[str, ...], what: str, attributes: Callable[[str], Mapping[str, Any]]
) -> None:
    """Check that the first dimension has the rows and the second the features, as far as known.

    Parameters
    ----------
    dims
        The names of the dimensions.
    what
        How messages name the data.
    attributes
        Returns the attributes of the coordinate of a dimension; none if it has no coordinate.

    Raises
    ------
    ShapeError
        If it must be said which dimensions make up the rows.
    """
    remedy = (
        "Say which of them make up the rows, in data.samples, or the features, in data.features"
    )
    if len(dims) > 2:
        raise ShapeError(
            f"{what} has {len(dims)} dimensions, {', '.join(dims)}; expected 2: (rows, features). "
            f"{remedy}."
        )
    if len(dims) < 2:
        return
    first, second = (kind_of(dim, attributes(dim)) for dim in dims)
    more = ""
    if first == second == "space":
        why = "both are spatial, so that each row would be a line of a map"
        more = f", such as {list(dims)} if each point is a row"
    elif second == "time":
        why = f"{dims[1]} would make up the features, and {dims[0]} the rows"
    elif first == "features":
        why = f"{dims[0]} would make up the rows, and {dims[1]} the features"
    else:
        return
    raise ShapeError(f"{what} has the dimensions ({', '.join(dims)}): {why}. {remedy}{more}.")
