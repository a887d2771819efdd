"""Feature names of data in memory: columns of a data frame, a coordinate of xarray's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from sklearn.utils.validation import _get_feature_names

from emdist.errors import DtypeError, FeatureNamesError
from emdist.names import Match, Names, both, brief, coordinate_names, match


def names_in(x: Any) -> Names:
    """Names of the columns of `x`, or None.

    Raises
    ------
    DtypeError
        If some columns have texts for names and others have not: a TypeError, as in scikit-learn.
    """
    dims, coords = getattr(x, "dims", None), getattr(x, "coords", None)
    if isinstance(dims, tuple) and coords is not None:  # xarray.DataArray
        if len(dims) != 2 or dims[1] not in coords:
            return None
        return coordinate_names(str(dims[1]), coords[dims[1]].values)
    try:
        found = _get_feature_names(x)
    except TypeError as error:
        raise DtypeError(f"{error!s:.400}") from None
    return None if found is None else tuple(str(name) for name in found)


def check_names(known: Names, found: Names, estimator: str) -> None:
    """Hold the names of data to those of a fitted `estimator`; FeatureNamesError if they differ.

    What is in doubt is warned of, in scikit-learn's words.
    """
    how = match(known, found)
    if how.refused:
        remedy = (
            "Pass the columns in the order of feature_names_in_: X[model.feature_names_in_]."
            if how is Match.OTHER_ORDER
            else "Pass the model's features; rename X's columns if they are the same."
        )
        raise FeatureNamesError(
            "The feature names should match those that were passed during fit.\n"
            f"{_differences(known or (), found or ())}{both(known, found)} {remedy}"
        )
    if how is Match.MODEL_UNNAMED:
        told = f"X has feature names, but {estimator} was fitted without feature names"
    elif how is Match.DATA_UNNAMED:
        told = f"X does not have valid feature names, but {estimator} was fitted with feature names"
    elif how is Match.NUMBERED:
        told = (
            f"The feature names of X and of the fitted {estimator} cannot be compared: "
            f"{how.value}. {both(known, found)}"
        )
    else:
        return
    warnings.warn(told, UserWarning, stacklevel=2)


def _differences(known: Sequence[str], found: Sequence[str]) -> str:
    """What scikit-learn says of names that differ."""
    lines = [
        (title, sorted(set(names) - set(others)))
        for title, names, others in (
            ("Feature names unseen at fit time", found, known),
            ("Feature names seen at fit time, yet now missing", known, found),
        )
    ]
    told = "".join(
        f"{title}:\n{''.join(f'- {brief(name)}' + chr(10) for name in names[:3])}"
        f"{'- ...' + chr(10) if len(names) > 3 else ''}"
        for title, names in lines
        if names
    )
    return told or "Feature names must be in the same order as they were in fit.\n"
