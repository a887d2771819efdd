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
_WEIGHTS = "sample_weight : array-like, DataArray, zarr.Array, str or path-like, default=None"
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
    "sample_weight": f"""\
{_WEIGHTS}
    Sample weights >= 0, one for each row. A path, URL or ``zarr.Array`` of weights needs an
    `X` in Zarr. If `emdist.rows` made `X`, weights may also be the name of one of its
    variables or a DataArray, on some of the sample dimensions, or an array of the shape of
    the grid. None gives every row the weight 1.""",
    "weights of a criterion": f"""\
{_WEIGHTS}
    Sample weights, as in `fit`. None gives every row the weight 1, also if the fit had
    weights: pass them again for the criterion of the fit. Their sum stands for the number of
    rows. A warning says if it is far from that number.""",
    "on the grid": """\
Of a DataArray, and of rows that `emdist.rows` makes, the result is an
``xarray.DataArray`` on the grid of the samples, with the coordinates of the data. There,
rows that are left out are {}.""",
}
_PLACE = re.compile(
    r"^( *)\{(X|X as fitted|sample_weight|weights of a criterion|on the grid(?:: .+)?)\}$",
    re.MULTILINE,
)


def with_pieces(function: Callable[..., Any]) -> None:
    """Put the shared pieces into the docstring of `function`."""
    if inspect.isfunction(function) and function.__doc__:
        function.__doc__ = _PLACE.sub(_piece, function.__doc__)


def _piece(found: re.Match[str]) -> str:
    name, _, rest = found[2].partition(": ")
    return textwrap.indent(PIECES[name].format(rest), found[1])
