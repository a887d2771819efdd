"""`rows`: says how rows and features are made of variables with named dimensions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from emdist.errors import DtypeError
from emdist.estimators.wording import in_parameters
from emdist.inputs.foreign import is_a, store_advice
from emdist.inputs.layout import layout
from emdist.inputs.rows import Rows


@in_parameters
def rows(
    data: Any,
    variables: str | Sequence[str] | None = None,
    *,
    samples: str | Sequence[str] | None = None,
    features: str | Sequence[str] | None = None,
    select: Mapping[str, Any] | None = None,
    where: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    time: str | None = None,
) -> Rows:
    """Say how rows and features are made of variables with named dimensions.

    A row has one value of each combination of the sample dimensions, as
    ``xarray.DataArray.stack(row=samples)`` makes them. Its features are the variables, each of them
    at every position of the feature dimensions. Nothing is read and nothing is copied.

    Parameters
    ----------
    data : str, path-like, zarr.Group, zarr.Array, xarray.Dataset or xarray.DataArray
        The data. A text or path is the path or URL of a Zarr group or array. Lazy xarray objects
        are read box by box and never loaded as a whole.
    variables : str or sequence of str, default=None
        The variables that become features, or patterns such as ``B*``. None stands for the only
        one there is.
    samples : str or sequence of str, default=None
        The dimensions that make up the rows. One of `samples` and `features` is enough: None
        stands for all other dimensions. If both are None, several variables make up the features
        of each point of their grid.
    features : str or sequence of str, default=None
        The dimensions that make up the features.
    select : mapping of str to object, default=None
        What to read of a dimension, by its name: ``[low, high]`` or ``slice(low, high)``, a range
        of its coordinate with both ends; one value of the coordinate; ``{"values": [...]}``,
        several of them; ``{"index": ...}``, a position, a list of positions, a slice, or a text
        such as ``"10:20"``. None reads everything.
    where : mapping or sequence of mappings, default=None
        Conditions on variables that a row must meet, such as
        ``{"variable": "landmask", "equals": 0}``; also ``not_equals``, ``at_least``, ``at_most``,
        ``above`` and ``below``. Rows that do not meet all of them are left out. NaN meets none.
        None lets every row count.
    time : str, default=None
        For hidden Markov models: the sample dimension along which rows follow one another. Each
        position of the other sample dimensions is a sequence, such as a pixel of a map. Rows are
        then in the order of `samples` with this dimension last. None is for other models, and for
        sequences that `fit` is given.

    Returns
    -------
    Rows
        What every estimator accepts as `X`. ``predict`` and the like then return an
        ``xarray.DataArray`` on the grid of the samples.

    Raises
    ------
    DtypeError
        If `data` is anything else, such as a data frame or a NumPy array.
    ConfigError
        If an argument is not of the form that is described here. What the data lack is told by
        the fit.

    Examples
    --------
    >>> import emdist
    >>> emdist.rows("ocean.zarr", ["TEMP", "PSAL"], features="depth", select={"depth": [0, 500]})
    emdist.rows('ocean.zarr', variables=['TEMP', 'PSAL'], features=['depth'], select={'depth': [0, 500]})
    """  # noqa: E501
    known = isinstance(data, str | os.PathLike) or is_a(data, "zarr", "Array", "Group")
    if not known and not is_a(data, "xarray", "Dataset", "DataArray"):
        if (advice := store_advice(data, "data")) is not None:
            raise DtypeError(advice)
        raise DtypeError(
            f"data is a {type(data).__name__}, which has no variables with named dimensions. Pass "
            "it to the estimator as it is; emdist.rows takes a path, a zarr.Group or zarr.Array, "
            "or an xarray object."
        )
    return Rows(data, layout(variables, samples, features, select, where, time))
