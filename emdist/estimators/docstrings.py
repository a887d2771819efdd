"""Pieces of docstrings that methods of the estimators share: the data, and results on a grid."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

_TYPE = (
    "X : array-like of shape (n_samples, n_features), emdist.rows, str or path-like, or lazy data"
)
#: The pieces, by what stands for them, in braces, on a line of a docstring.
PIECES = {
    "X": f"""\
{_TYPE}
    The data: an array, list or data frame; the path or URL of a Zarr array, or an open
    ``zarr.Array``; a Dask array or data frame; a 2-D ``xarray.DataArray``; or rows that
    `emdist.rows` makes of variables with named dimensions. Stored and lazy data are read in
    blocks and never loaded as a whole.""",
    "X as fitted": f"""\
{_TYPE}
    The data, as in `fit`, with the features that were fitted. If the data of the fit were
    made by `emdist.rows`, a path, a Zarr group or array, and an xarray object are read in
    the same way: the same variables, dimensions, selection and conditions. Pass
    `emdist.rows` of them to read them otherwise.""",
    "on the grid": """\
Of a DataArray, and of rows that `emdist.rows` makes, the result is an
``xarray.DataArray`` on the grid of the samples, with the coordinates of the data. There,
rows that are left out are {}.""",
}
_PLACE = re.compile(r"^( *)\{(X|X as fitted|on the grid(?:: .+)?)\}$", re.MULTILINE)


def with_pieces(function: Callable[..., Any]) -> None:
    """Put the shared pieces into the docstring of `function`."""
    if inspect.isfunction(function) and function.__doc__:
        function.__doc__ = _PLACE.sub(_piece, function.__doc__)


def _piece(found: re.Match[str]) -> str:
    name, _, rest = found[2].partition(": ")
    return textwrap.indent(PIECES[name].format(rest), found[1])
