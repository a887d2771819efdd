"""Checks of the arguments of mixtures as distributions: rows, features and observed values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from emdist.errors import ConfigError, DtypeError, NonFiniteError, ShapeError
from emdist.families.closures import Features
from emdist.fit.domain import check_rows
from emdist.inputs.arrays import as_array, real_array
from emdist.inputs.frames import check_names, names_in
from emdist.inputs.index_columns import without_index
from emdist.inputs.names import Names
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import listed, shown
from emdist.interfaces import Array, Domain, Floats
from emdist.store.sources.arrays import check_matrix, finite_rows
from emdist.store.sources.plan import native, usable_dtype

#: A feature, or several: by index, where negative indices count from the end, or by name.
Which: TypeAlias = int | str | Sequence[int | str] | Array
#: The largest number of names that a message lists.
_FEW = 5


def checked_rows(x: Any, d: int, domain: Domain | None, names: Names = None) -> Array:
    """Return `x` as an array (n, d) that kernels accept.

    It is a DataError if `x` is not such an array, has values outside `domain`, or has columns with
    other names than `names` or in another order.
    """
    x = without_index(x, "x")
    found = as_array(x, "x", lists=True)
    check_matrix(found.shape, "x")
    usable_dtype(found.dtype, "x")
    check_width(found.shape[1], d)
    check_columns(names, names_in(x, "x"), "x")
    found = native(found)
    finite = finite_rows(found)
    if finite is not None:
        raise NonFiniteError(
            f"{np.count_nonzero(~finite)} row(s) of x hold NaN or infinity, first row "
            f"{int(np.argmin(finite))}; expected finite numbers. If features are missing, use "
            "the marginal over those that are known."
        )
    if domain is not None:
        check_rows(domain, found)
    return found


def check_width(found: int, d: int) -> None:
    """Raise ShapeError unless rows of `found` features suit a mixture of `d` features."""
    if found != d:
        raise ShapeError(
            f"x has {found} feature(s), but the mixture has {d}. Give rows with all "
            "features of the mixture, or use its marginal over the features that x has."
        )


def check_columns(known: Names, found: Names, name: str) -> None:
    """Raise a FeatureNamesError if the names `found` in data differ from the names `known`.

    `known` are the names of the mixture. `name` is the argument with the data.
    """
    index = ".loc" if name == "values" else ""
    known_few = known is not None and len(known) <= _FEW
    order = str(list(known or ())) if known_few else "list(mixture.feature_names)"
    ordered = f"the mixture's feature_names: {name}{index}[{order}]"
    if found is not None or name != "values":
        check_names(known, found, "mixture", name, ordered)


def feature_index(which: Which, d: int, names: Names = None) -> Features:
    """Return the indices in 0..d-1 of the features `which`, in the order given: (m,).

    Features may be named if the mixture has `names`. It is a ConfigError if there is no such
    feature, or if one is named twice.
    """
    several = [which] if isinstance(which, str) else which
    if isinstance(several, list | tuple) or (
        isinstance(several, np.ndarray) and several.dtype.kind in "UTO"
    ):
        which = [_numbered(one, names) if isinstance(one, str) else one for one in several]
    found = np.atleast_1d(as_array(which, "features", ConfigError))
    if found.size == 0:
        found = found.astype(np.int64)
    mask = isinstance(which, list | tuple) and any(isinstance(one, bool) for one in which)
    if found.ndim != 1 or found.dtype.kind not in "iu" or mask:
        raise ConfigError(
            f"features={shown(which)}; expected the index or the name of a feature, or a list of "
            "them. numpy.flatnonzero(mask) turns a mask into indices."
        )
    outside = found[(found < -d) | (found >= d)]
    if outside.size:
        raise ConfigError(f"There is no feature {outside[0]}; the mixture has 0..{d - 1}.")
    index = found.astype(np.int64) % d
    if len(np.unique(index)) < len(index):
        raise ConfigError(
            f"features={shown(which)} names a feature twice; expected each feature once."
        )
    return index


def _numbered(name: str, names: Names) -> int:
    """Return the index of the feature called `name`; ConfigError if there is none, or several."""
    if names is None:
        raise ConfigError(
            f"features has {shown(str(name))}, but the features of the mixture have no names. Give "
            "their indices, from 0."
        )
    at = [i for i, one in enumerate(names) if one == name]
    if len(at) == 1:
        return at[0]
    if at:
        raise ConfigError(
            f"features has {shown(str(name))}, the name of {len(at)} features. Give the index of "
            f"one: {', '.join(map(str, at[:_FEW]))}."
        )
    raise ConfigError(
        f"There is no feature {shown(str(name))}{nearest(str(name), names)}; the names are "
        f"{listed(names, _FEW)}."
    )


def observed_values(values: Any, m: int) -> Floats:
    """Return `values` as a row of `m` finite numbers: (1, m).

    It is a ShapeError, DtypeError or NonFiniteError if `values` are something else.
    """
    found = np.atleast_1d(real_array(values, "values", DtypeError, f"{m} numbers"))
    if found.shape != (m,):
        raise ShapeError(
            f"values have shape {found.shape}; expected ({m},), one for each observed feature. "
            "For many rows at once, use conditional_mean."
        )
    if not np.isfinite(found).all():
        raise NonFiniteError(
            f"values={shown(values)} hold NaN or infinity; expected finite numbers. Leave out "
            "features that were not observed."
        )
    return found[None]


def unstated(family: object, what: str) -> ConfigError:
    """Return an error which says that `family` lacks `what`, such as its moments."""
    return ConfigError(
        f"The family {type(family).__name__} has no {what} of its components in closed form "
        "(see emdist/families/closures.py). Estimate what you need from draws: sample(n)."
    )
