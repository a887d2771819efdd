"""Values of coordinates: at which positions a value or a range of them lies."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from emdist.errors import ConfigError, ShapeError
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import listed, shown
from emdist.inputs.spelling import spellings
from emdist.interfaces import Array
from emdist.store.grids.comparing import at_least, at_most, equal

#: A value of a coordinate of floats is meant if it is nearer than this share of the distance to its
#: neighbours: 0.1 * 3 is 0.30000000000000004.
_NEAR = 1e-6
#: How many values of a coordinate messages show.
_SHOWN = 6
#: A date and time, or the first parts of one.
_DATE = re.compile(
    r"(-?\d{4,6})"
    r"(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?)?)?)?"
)
#: How many values each part of a date can have, beginning with the month.
_RADIX = (13, 32, 24, 60, 60, 1_000_000)


def position_of(dim: str, values: Array, wanted: Any) -> int:
    """Return the position at which the coordinate `values` of dimension `dim` is `wanted`.

    Raises
    ------
    ConfigError
        If there is none, or several.
    """
    values = _texts(values)
    if _is_ordered(values):
        keys, like = _comparable(dim, values, wanted)
        same = _same(keys, like)
    elif values.dtype.kind in "UTO" and isinstance(wanted, str):
        same = np.array([one == wanted for one in values.tolist()], bool)
    elif values.dtype.kind == "b" and isinstance(wanted, bool):
        same = values == wanted
    else:
        raise _unlike(dim, values, wanted)
    at = np.flatnonzero(same)
    if len(at) == 1:
        return int(at[0])
    if len(at):
        raise ConfigError(
            f"data.select for {dim} is {shown(wanted)}, which {len(at)} positions of {dim} have. "
            "Select a range, or by position: {index: ...}."
        )
    raise ConfigError(
        f"data.select for {dim} is {shown(wanted)}, which no position of {dim} has"
        f"{_nearest(dim, values, wanted)}."
    )


def positions_between(dim: str, values: Array, low: Any, high: Any) -> list[int]:
    """Return the positions at which `values` lie from `low` to `high`; None is no end.

    Raises
    ------
    ConfigError
        If the coordinate has no order, or if the ends are reversed or of another kind.
    ShapeError
        If nothing lies there.
    """
    asked = shown([low, high])
    if not _is_ordered(values):
        raise ConfigError(
            f"data.select for {dim} is {asked}, a range, but {dim} has texts or other "
            "values without an order. Give the values that you mean, as {values: [...]}, or "
            "positions, as {index: ...}."
        )
    inside = np.ones(len(values), bool)
    for end, meets in ((low, at_least), (high, at_most)):
        if end is not None:
            inside &= meets(*_comparable(dim, values, end))
    if inside.any():
        return [int(i) for i in np.flatnonzero(inside)]
    if low is not None and high is not None and _reversed(dim, values, low, high):
        raise ConfigError(
            f"data.select for {dim} is {asked}, whose ends are reversed. A range goes from the "
            f"lower value to the higher one, in whichever order the data have them: "
            f"{shown([high, low])}."
        )
    known = values[values == values]  # without NaN and NaT
    if not len(known):
        raise ShapeError(
            f"data.select for {dim} is {asked}, but all values of {dim} are missing. Select by "
            "position: {index: ...}."
        )
    least, most = spellings(np.array([known.min(), known.max()], known.dtype))
    raise ShapeError(
        f"data.select for {dim} is {asked}, but no value of {dim} lies there: they go from {least} "
        f"to {most}."
    )


def _texts(values: Array) -> Array:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _is_ordered(values: Array) -> bool:
    return values.dtype.kind in "iufMm" or _is_calendar(values)


def _is_calendar(values: Array) -> bool:
    """Return whether the values are dates of cftime, which know their calendar."""
    return values.dtype.kind == "O" and all(hasattr(one, "calendar") for one in values)


def _comparable(dim: str, values: Array, wanted: Any) -> tuple[Array, Any]:
    """Return `values` and `wanted` in a form in which they can be compared.

    Dates are cut off where `wanted` ends: a month stands for all of its times.
    """
    try:
        if values.dtype.kind == "M":
            text, _ = _date(wanted)
            like = _existing(dim, wanted, lambda: np.datetime64(text), "standard")
            return values.astype(f"datetime64[{np.datetime_data(like.dtype)[0]}]"), like
        if values.dtype.kind == "m" and isinstance(wanted, str):
            import pandas as pd  # type: ignore[import-untyped]  # xarray made the values

            return values, pd.Timedelta(wanted).to_timedelta64()
        if values.dtype.kind == "O":
            parts = _date(wanted)[1]
            whole, one = (*parts, *(1, 1)[len(parts) - 1 :]), values[0]
            _existing(dim, wanted, lambda: type(one)(*whole), one.calendar)
            return _numbered(values, len(parts)), _number(parts)
        if values.dtype.kind != "m" and not isinstance(wanted, str | bool):
            return values, wanted
    except ConfigError:
        raise
    except (TypeError, ValueError):
        pass
    raise _unlike(dim, values, wanted)


def _existing(dim: str, wanted: Any, make: Callable[[], Any], calendar: str) -> Any:
    """Return the date that `make` makes; ConfigError if the calendar of the data has none."""
    try:
        return make()
    except ValueError:
        raise ConfigError(
            f"data.select for {dim} has {shown(wanted)}, which is no date of the {calendar} "
            f"calendar of {dim}. Give another date, or a month."
        ) from None


def _date(wanted: Any) -> tuple[str, tuple[int, ...]]:
    """Return a date as text and as its parts; ValueError if it is none.

    Years may be numbers, and hyphens may be left out. Times are those of UTC.
    """
    text = f"{wanted:04d}" if type(wanted) is int else str(wanted)
    if text.isdecimal() and len(text) == 8:
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    text = text.removesuffix("Z").removesuffix("+00:00")
    found = _DATE.fullmatch(text)
    if found is None or (text.isdecimal() and len(text) != 4):
        raise ValueError(text)
    parts = [int(one) for one in found.groups()[:6] if one is not None]
    if found[7] is not None:
        parts.append(int(found[7].ljust(6, "0")))
    return text.replace(" ", "T"), tuple(parts)


def _numbered(values: Array, count: int) -> Array:
    """Return the first `count` parts of dates of cftime as numbers in the same order."""
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")[:count]
    parts = (tuple(getattr(one, name) for name in names) for one in values)
    return np.array([_number(one) for one in parts], np.int64)


def _number(parts: tuple[int, ...]) -> int:
    found, *rest = parts
    for part, radix in zip(rest, _RADIX, strict=False):
        found = found * radix + part
    return found


def _same(keys: Array, like: Any) -> Array:
    """Return where values are meant by one value of their kind."""
    if keys.dtype.kind in "Mm":
        return np.asarray(keys == like)
    if keys.dtype.kind != "f":
        return equal(keys, [like])
    values = keys.astype(np.float64)
    with np.errstate(over="ignore"):
        forms = [float(like), float(np.float32(like)), float(keys.dtype.type(like))]
    for form in forms:
        if (same := np.asarray(values == form)).any():
            return same
    distances = np.abs(values - forms[0])
    if not np.isfinite(distances).any():
        return np.zeros(len(values), bool)
    found = values[np.nanargmin(distances)]
    others = np.abs(values[np.isfinite(values) & (values != found)] - found)
    spacing = others.min() if len(others) else abs(found)
    return np.asarray((values == found) & (np.nanmin(distances) <= _NEAR * spacing))


def _nearest(dim: str, values: Array, wanted: Any) -> str:
    """Return the values beside one that does not exist, for a message."""
    if not _is_ordered(values):
        texts = spellings(values)
        near = nearest(str(wanted), texts)
        return f"{near}; its values are {listed(texts, _SHOWN)}"
    keys, like = _comparable(dim, values, wanted)
    beside = []
    for side, of in ((keys < like, np.argmax), (keys > like, np.argmin)):
        if len(at := np.flatnonzero(side)):
            beside += spellings(values[[at[of(keys[at])]]])
    if not beside:
        return ": all of its values are missing"
    return f"; the nearest {'is' if len(beside) == 1 else 'are'} {' and '.join(beside)}"


def _reversed(dim: str, values: Array, low: Any, high: Any) -> bool:
    """Return whether values lie between the ends of a range if these are exchanged."""
    first, last = (_comparable(dim, values, end) for end in (high, low))
    return bool(((first[0] >= first[1]) & (last[0] <= last[1])).any())


def _unlike(dim: str, values: Array, wanted: Any) -> ConfigError:
    known = _is_calendar(values) or any(isinstance(one, str) for one in values)
    if values.dtype.kind == "O" and not known:
        return ConfigError(
            f"data.select for {dim} has {shown(wanted)}, but values of {dim} are neither numbers, "
            f"dates nor texts: {spellings(values[:1])[0]}. Select by position: {{index: ...}}. Or "
            "leave rows out by data.where."
        )
    return ConfigError(
        f"data.select for {dim} has {shown(wanted)}, but {dim} has values such as "
        f"{shown(values[0]) if isinstance(values[0], str) else spellings(values[:1])[0]}. Give one "
        "like them, or select by position: {index: ...}."
    )
