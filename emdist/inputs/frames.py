"""Feature names of data in memory: the columns of a data frame, or a coordinate of xarray."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from emdist.errors import DtypeError, FeatureNamesError
from emdist.inputs.foreign import is_a
from emdist.inputs.names import Match, Names, both, brief, coordinate_names, listing, match

#: How many columns with the same name a message lists.
_PLACES = 5
#: Parameters that hold one number for each feature.
_PER_FEATURE = ("mean_prior", "n_trials")


def names_in(x: Any, name: str = "X") -> Names:
    """Return the names of the columns of `x`, which the user calls `name`, or None.

    Raises
    ------
    FeatureNamesError
        If several columns have the same name.
    DtypeError
        If only some columns have strings as names. It is a TypeError, as in scikit-learn.
    """
    dims, coords = getattr(x, "dims", None), getattr(x, "coords", None)
    if isinstance(dims, tuple) and coords is not None:  # an xarray.DataArray
        if len(dims) != 2 or dims[1] not in coords:
            return None
        found = coordinate_names(str(dims[1]), coords[dims[1]].values)
        check_unique(found or (), f"The columns of {name}")
        return found
    if is_a(x, "pandas", "DataFrame"):
        check_unique(list(x.columns), f"The columns of {name}")
    elif is_a(x, "pyarrow", "Table", "RecordBatch"):
        check_unique(x.column_names, f"The columns of {name}")
    # Imported only when names are requested, because the import takes long.
    from sklearn.utils.validation import _get_feature_names

    try:
        found = _get_feature_names(x)
    except TypeError as error:
        raise DtypeError(f"{error!s:.400}") from None
    return None if found is None else tuple(str(one) for one in found)


def check_unique(names: Sequence[Any], what: str) -> None:
    """Raise FeatureNamesError if several of `names` are equal. `what` begins the message."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        first = repeated[0]
        places = [i for i, name in enumerate(names) if name == first]
        raise FeatureNamesError(
            f"{what} do not have unique names: {listing([str(n) for n in repeated])} occurs "
            f"more than once ({brief(str(first))} for columns "
            f"{', '.join(map(str, places[:_PLACES]))}{', ...' if len(places) > _PLACES else ''}). "
            "Give each column a name of its own, drop copies, or pass only the values as a "
            "NumPy array."
        )


def check_given(params: Mapping[str, Any], found: Names) -> None:
    """Compare the names in frames among `params`, such as starting values, with names of data.

    `found` has the names of the features of the data.

    Raises
    ------
    FeatureNamesError
        If a frame with a column for every feature has other names, or has them in another order.
    """
    for name, value in params.items():
        if isinstance(value, Mapping):
            check_given(value, found)
            continue
        own = _given_names(name, value)
        how = match(own, found)
        if found is None or own is None or len(own) != len(found) or not how.refused:
            continue
        at = ".loc[X.columns]" if is_a(value, "pandas", "Series") else "[list(X.columns)]"
        remedy = (
            f"Pass it in the order of X, as {name}{at}"
            if how is Match.OTHER_ORDER
            else f"Pass the features of X; rename the columns of {name} if they are the same"
        )
        raise FeatureNamesError(
            f"The features of {name} differ from those of X: {how.value}. "
            f"{both(own, found, name, 'X')} {remedy}, or pass only its values as a NumPy array."
        )


def _given_names(name: str, value: Any) -> Names:
    """Return the names of the features in a parameter, if it has any."""
    if is_a(value, "pandas", "Series"):
        return index_names(value) if name in _PER_FEATURE else None
    frame = is_a(value, "pandas", "DataFrame") or is_a(value, "polars", "DataFrame")
    arrow = is_a(value, "pyarrow", "Table", "RecordBatch")
    return names_in(value, name) if frame or arrow or hasattr(value, "coords") else None


def index_names(value: Any) -> Names:
    """Return the names of the values of a pandas Series, or None."""
    if not is_a(value, "pandas", "Series"):
        return None
    index = tuple(value.index)
    return index if index and all(isinstance(one, str) for one in index) else None


def check_names(
    known: Names,
    found: Names,
    estimator: str,
    name: str = "X",
    ordered: str = "feature_names_in_: X[model.feature_names_in_]",
) -> None:
    """Compare the names of data with those of a fitted `estimator`.

    If they differ, this raises FeatureNamesError. If they cannot be compared, it warns in
    scikit-learn's words. The user calls the data `name`, and `ordered` says which object has the
    names and how to bring the data into their order.
    """
    how = match(known, found)
    if how.refused:
        remedy = (
            f"Pass the columns in the order of {ordered}."
            if how is Match.OTHER_ORDER
            else f"Pass the model's features; rename {name}'s columns if they are the same."
        )
        raise FeatureNamesError(
            "The feature names should match those that were passed during fit.\n"
            f"{_differences(known or (), found or ())}{both(known, found)} {remedy}"
        )
    if how is Match.MODEL_UNNAMED:
        told = f"{name} has feature names, but {estimator} was fitted without feature names"
    elif how is Match.DATA_UNNAMED:
        told = (
            f"{name} does not have valid feature names, but {estimator} was fitted with feature "
            "names"
        )
    elif how is Match.NUMBERED:
        told = (
            f"The feature names of {name} and of the fitted {estimator} cannot be compared: "
            f"{how.value}. {both(known, found)}"
        )
    else:
        return
    warnings.warn(told, UserWarning, stacklevel=2)


def _differences(known: Sequence[str], found: Sequence[str]) -> str:
    """Return scikit-learn's message about names that differ."""
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
