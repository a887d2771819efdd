"""The spelling of coordinate values in names of features: equal values are spelled alike."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

#: Numbers of float64 with more digits than this were numbers of float32, if float32 can hold them.
_DIGITS = 12
#: Units of differences of time, the longest first.
_UNITS = ("D", "h", "m", "s", "ms", "us")
#: A number in a name that an earlier version made of a coordinate, such as ``depth=10.0``.
_NUMBER = re.compile(r"(?<==)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=[,\]]|$)")


def spellings(values: Any) -> list[str]:
    """Return each of `values` as text, equal values alike in every dtype.

    Whole numbers have no decimal point, and 0.1 of float32 is ``0.1``. Dates are as short as they
    can be without loss: ``2020-01-01``.
    """
    found = np.asarray(values)
    kind = found.dtype.kind
    if kind == "M":
        texts: list[str] = np.datetime_as_string(found, unit="auto").tolist()
        return texts
    if kind == "m":
        return [_duration(one) for one in found]
    if kind == "f":
        return [_number(one) for one in found.astype(np.float64).tolist()]
    return [_spelled(one) for one in found.tolist()]


def respelled(name: str) -> str:
    """Return a name with its numbers spelled as `spellings` does; earlier versions wrote 10.0."""
    return _NUMBER.sub(lambda found: _of_text(found[0]), name)


def _of_text(text: str) -> str:
    return text if text.lstrip("-").isdecimal() else _number(float(text))


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 2**64:
        return str(int(value))
    text = repr(value)
    if sum(sign.isdigit() for sign in text.partition("e")[0]) > _DIGITS and abs(value) < 1e38:
        short = np.float32(value)
        if float(short) == value:
            return str(short)
    return text


def _duration(value: np.timedelta64) -> str:
    for unit in _UNITS:
        coarse = value.astype(f"timedelta64[{unit}]")
        if coarse == value or np.isnat(value):
            return str(coarse)
    return str(value)


def _spelled(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return _number(value)
    if hasattr(value, "isoformat"):  # dates of other calendars, and Python's
        text = str(value.isoformat()).removesuffix("T00:00:00").removesuffix(":00")
        return re.sub(r"(\.\d{3})000$", r"\1", text)
    return str(value)
