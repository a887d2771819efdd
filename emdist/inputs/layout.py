"""`Layout`: how rows and features are made of variables with named dimensions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from emdist.errors import ConfigError
from emdist.inputs.layout_texts import SIGNS, corrected
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import shown
from emdist.wording import either

#: Comparisons that `where` knows.
COMPARISONS = ("equals", "not_equals", "at_least", "at_most", "above", "below")
#: What others call these comparisons.
_SIGNS = {
    **SIGNS,
    "eq": "equals",
    "ne": "not_equals",
    "ge": "at_least",
    "gte": "at_least",
    "le": "at_most",
    "lte": "at_most",
    "gt": "above",
    "lt": "below",
}

#: No dtype has numbers as large as this.
_LARGEST = 1 << 1000


@dataclass(frozen=True)
class Layout:
    """How rows and features are made of variables with named dimensions.

    Attributes
    ----------
    variables
        The names of the variables, or patterns such as ``B*``. Empty for the only one there is.
    samples, features
        The names of the dimensions that make up the rows, and of those that make up the features.
        Each dimension is one of both. If one of the two is empty, it has all others.
    select
        What to read of a dimension, by its name: ``[low, high]``, a range of its coordinate, both
        ends included, where None stands for no end; a number or a text, one value of the
        coordinate; ``{"values": [...]}``; or ``{"index": ...}``, a position, a list of positions or
        a text such as ``"10:20"``.
    where
        The conditions on other variables that a row must meet, each with ``variable`` and one or
        more of `COMPARISONS`.
    time
        The sample dimension along which rows follow one another, for models of sequences. Empty if
        none is named.
    """

    variables: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    select: tuple[tuple[str, Any], ...] = ()
    where: tuple[Mapping[str, Any], ...] = ()
    time: str = ""

    @property
    def trivial(self) -> bool:
        """Whether nothing is said, so that a 2-D array has rows and columns."""
        return self == Layout()

    def to_json(self) -> dict[str, Any]:
        """Return what is said, as JSON."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found["select"] = dict(self.select)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value
        }

    def arguments(self) -> str:
        """Return the arguments of `emdist.rows` behind the data, each with a comma before it."""
        return "".join(f", {name}={value!r}" for name, value in self.to_json().items())


def is_name(text: str) -> bool:
    """Return whether a text names a variable beside the data, and not a place of its own.

    Places of arrays have a slash, as in ``./weights``, or end as files of Zarr do.
    """
    return not set("/\\") & set(text) and not text.endswith((".zarr", ".zip"))


def layout(
    variables: Any = (),
    samples: Any = (),
    features: Any = (),
    select: Any = None,
    where: Any = None,
    time: str | None = None,
) -> Layout:
    """Return a checked layout.

    A single name stands for a list of one, a single condition for a list of one, and a ``slice``
    for a range ``[low, high]``.

    Raises
    ------
    ConfigError
        If something is not of the form that `Layout` describes.
    """
    names = {
        "variables": _names(variables, "data.variables"),
        "samples": _names(samples, "data.samples"),
        "features": _names(features, "data.features"),
    }
    both = set(names["samples"]) & set(names["features"])
    if both:
        raise ConfigError(
            f"{', '.join(sorted(both))} is in data.samples and in data.features. Each dimension is "
            "one of both."
        )
    if time is not None and not (isinstance(time, str) and time):
        raise ConfigError(f"data.time is {shown(time)}; expected the name of a dimension.")
    if time in names["features"] or (names["samples"] and time and time not in names["samples"]):
        raise ConfigError(
            f"data.time is {time}, which is no sample dimension. Time is a dimension of the rows."
        )
    return Layout(**names, select=_selections(select), where=_conditions(where), time=time or "")


def _names(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    _check_text(what, value)
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"{what} is {shown(value)}; expected a list of names.")
    if len(set(found)) < len(found):
        raise ConfigError(f"{what} is {shown(list(found))}, which names something twice.")
    return tuple(found)


def _check_text(place: str, value: Any) -> None:
    """Raise ConfigError if `value` is written as on the command line, and say what to write."""
    if (told := corrected(place.partition(".")[2], value)) is not None:
        raise ConfigError(f"{place} is {shown(value)}; {told}.")


def _selections(value: Any) -> tuple[tuple[str, Any], ...]:
    if value is None:
        return ()
    _check_text("data.select", value)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(
            f"data.select is {shown(value)}; expected what to read of each dimension, such as "
            "{depth: [0, 500]}."
        )
    return tuple((name, _selection(name, one)) for name, one in value.items())


def _selection(name: str, value: Any) -> Any:
    """Return one entry of `select` in the form in which it is stored."""
    if isinstance(value, slice):
        if value.step is not None:
            raise _unlike(name, value)
        value = [value.start, value.stop]
    if isinstance(value, Mapping):
        if set(value) == {"index"}:
            return {"index": _index(name, value["index"])}
        values = _plain(value["values"]) if set(value) == {"values"} else None
        if isinstance(values, list) and values and all(map(_is_value, values)):
            return {"values": values}
        raise _unlike(name, value)
    found = _plain(value)
    if _is_value(found):
        return found
    if isinstance(found, list) and len(found) == 2 and all(map(_is_end, found)):
        # A range up to infinity has no end there.
        return [None if end in (-math.inf, math.inf) else end for end in found]
    raise _unlike(name, value)


def _is_value(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < _LARGEST)


def _is_end(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or (_is_value(value) and not isinstance(value, bool))


def _index(name: str, value: Any) -> Any:
    if isinstance(value, slice):
        ends = [_plain(part) for part in (value.start, value.stop, value.step)]
        if not all(part is None or type(part) is int for part in ends):
            raise _unlike(name, {"index": value})
        value = ":".join("" if part is None else str(part) for part in ends)
    found = _plain(value)
    if isinstance(found, str):
        parts = [part.strip() for part in found.split(":")]
        numbers = all(re.fullmatch(r"(?:[+-]?[0-9]+)?", part) for part in parts)
        if 2 <= len(parts) <= 3 and numbers and (parts[2:] == [] or not _is_zero(parts[2])):
            return ":".join(parts[:2] + [part for part in parts[2:] if part])
    elif type(found) is int or (
        isinstance(found, list) and found and all(type(one) is int for one in found)
    ):
        return found
    raise _unlike(name, {"index": value})


def _is_zero(text: str) -> bool:
    return bool(text) and int(text) == 0


def _plain(value: Any) -> Any:
    """Return a number of NumPy as Python's, a date as text, an array or sequence as a list."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "dtype"):
        found = np.asarray(value)
        if found.dtype.kind == "M":
            found = np.datetime_as_string(found)
        value = (found.astype(str) if found.dtype.kind == "m" else found).tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(one) for one in value]
    return value


def _unlike(name: str, value: Any) -> ConfigError:
    return ConfigError(
        f"data.select for {name} is {shown(value)}; expected a range of the coordinate, such as "
        "[0, 500], one value of it, {values: [...]} for several, or {index: ...} for a position, "
        'a list of positions or a text such as "10:20".'
    )


def _conditions(value: Any) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    _check_text("data.where", value)
    if hasattr(value, "dtype") and not isinstance(value, Sequence):
        raise ConfigError(
            f"data.where is {shown(value)}; expected the name of a variable and a comparison, such "
            "as {'variable': 'landmask', 'equals': 0}, so that the same condition holds for new "
            "data. To use a condition of your own, make it a variable: "
            "data.assign(keep=condition) and {'variable': 'keep', 'equals': True}."
        )
    found = (value,) if isinstance(value, Mapping) else value
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise _no_condition(value)
    for one in found:
        if (why := _fault_of_condition(one)) is not None:
            raise _no_condition(one, why)
    return tuple({name: _plain(entry) for name, entry in one.items()} for one in found)


def _fault_of_condition(value: Any) -> str | None:
    """Return what is wrong with one condition of `where`, or None."""
    if not isinstance(value, Mapping):
        return ""
    if "variable" not in value:
        return "it names no variable"
    if not isinstance(value["variable"], str):
        return f"variable is {shown(value['variable'])}, and not a name"
    asked = [name for name in value if name != "variable"]
    if not asked:
        return "it has no comparison"
    for name in asked:
        if name not in COMPARISONS:
            near = (
                nearest(str(name), COMPARISONS)
                if name not in _SIGNS
                else (f" (did you mean {_SIGNS[name]!r}?)")
            )
            return f"{name} is no comparison{near}"
        if not _is_number(value[name], several=name.endswith("equals")):
            told = f"{name} is {shown(value[name])}, and not a number"
            dated = isinstance(_plain(value[name]), str)
            return told + (". Times and texts of a dimension belong to data.select" * dated)
    return None


def _is_number(value: Any, several: bool) -> bool:
    """Return whether a condition compares with a number or, if `several`, with a list of them."""
    value = _plain(value)
    if several and isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and all(_is_number(one, several=False) for one in value)
    return not isinstance(value, str) and (_is_value(value) or value in (-math.inf, math.inf))


def _no_condition(value: Any, why: str = "") -> ConfigError:
    told = f"has a condition that is wrong: {why}" if why else f"is {shown(value)}"
    example = {"variable": "landmask", "equals": 0}
    return ConfigError(
        f"data.where {told}. Expected a variable and a comparison with a number, such as "
        f"{either(repr(example), '{variable: landmask, equals: 0}')}; comparisons are "
        f"{', '.join(COMPARISONS)}."
    )
