"""CF decoding: turns stored numbers into values, by the attributes of their array.

Scale, offset and fill values follow the Climate and Forecast conventions, version 1.11, sections
2.5.1 and 8.1, as xarray applies them when it opens an array. Without them, packed integers would be
clustered on another scale, and fill values such as -9999 would become clusters of their own.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from emdist.errors import DtypeError
from emdist.interfaces import Array

#: The attributes that decoding follows.
ATTRIBUTES = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
#: Those of them that name values that mean "missing".
FILLS = ("_FillValue", "missing_value")
#: The attribute by which xarray names the dimensions of an array of Zarr format 2.
DIMENSIONS = "_ARRAY_DIMENSIONS"
#: The largest number of values that mean "missing".
_MOST = 64


@dataclass(frozen=True)
class Packing:
    """How the stored numbers of one array become values.

    Attributes
    ----------
    stored
        The dtype in which stored numbers are read, as text: another sign than the array's if the
        attribute ``_Unsigned`` says so.
    dtype
        The dtype of the values, as text.
    missing
        Stored numbers that mean "missing"; they become NaN.
    scale, offset
        A value is its stored number times `scale`, plus `offset`. None leaves a step out.
    """

    stored: str
    dtype: str
    missing: tuple[float, ...] = ()
    scale: float | None = None
    offset: float | None = None

    def decode(self, rows: Array) -> Array:
        """Return the values of stored rows, as a new array."""
        read = rows.view(self.stored) if rows.dtype != np.dtype(self.stored) else rows
        values: Array = np.array(read, dtype=self.dtype)
        for number in self.missing:
            values[read == np.asarray(number).astype(read.dtype)] = np.nan
        if self.scale is not None:
            values *= self.scale
        if self.offset is not None:
            values += self.offset
        return values

    @property
    def note(self) -> str:
        """Which stored numbers become NaN, for messages about NaN."""
        if not self.missing:
            return ""
        numbers = " and ".join(f"{number:g}" for number in self.missing[:3])
        return f" (stored as {numbers}, which means missing by _FillValue or missing_value)"

    def __str__(self) -> str:
        parts = [f"scale_factor {self.scale:g}"] if self.scale is not None else []
        parts += [f"add_offset {self.offset:g}"] if self.offset is not None else []
        if self.missing:
            parts.append(f"{' and '.join(f'{number:g}' for number in self.missing)} mean missing")
        return f"{', '.join(parts) or 'read as ' + self.stored}; {self.dtype}"


def packing(array: zarr.Array[Any], what: str) -> Packing | None:
    """Return how to decode `array`, or None if its stored numbers are the values.

    Raises
    ------
    DtypeError
        If an attribute is not what the conventions allow. The message names `what`.
    """
    attrs = {name: array.attrs[name] for name in ATTRIBUTES if name in array.attrs}
    named = array.metadata.zarr_format == 2 and DIMENSIONS in array.attrs
    if named and array.fill_value is not None:
        # In format 2, xarray stores the fill value in Zarr's own metadata.
        attrs["_FillValue"] = array.fill_value
    return packing_by(attrs, array.dtype, what)


def packing_by(attrs: Mapping[str, Any], dtype: np.dtype[Any], what: str) -> Packing | None:
    """Return how to decode numbers of `dtype` by attributes, as JSON has them; see `packing`."""
    if not attrs or dtype.kind not in "iuf":
        return None
    stored = _sign(dtype, attrs.get("_Unsigned"))
    missing = tuple(sorted({*_missing(attrs, "_FillValue", dtype, stored, what),
                            *_missing(attrs, "missing_value", dtype, stored, what)}))  # fmt: skip
    scale, offset = (_number(attrs, name, what) for name in ("scale_factor", "add_offset"))
    if scale is None and offset is None and not missing:
        return None if stored == dtype else Packing(str(stored), str(stored))
    values: np.dtype[Any]
    if scale is not None or offset is not None:
        values = np.dtype(np.float64)
    elif stored.kind == "f":
        values = stored.newbyteorder("=")
    else:
        values = np.dtype(np.float32 if stored.itemsize <= 2 else np.float64)
    return Packing(str(stored), str(values), missing, scale, offset)


def _sign(dtype: np.dtype[Any], unsigned: Any) -> np.dtype[Any]:
    """Return `dtype` with the sign that ``_Unsigned`` states: exactly "true" or "false"."""
    wanted = {"true": "u", "false": "i"}.get(unsigned) if isinstance(unsigned, str) else None
    if wanted is None or dtype.kind not in "iu":
        return dtype
    return np.dtype(f"{dtype.byteorder}{wanted}{dtype.itemsize}")


def _number(attrs: Mapping[str, Any], name: str, what: str) -> float | None:
    """Return an attribute that is one number, or None if it is absent."""
    if name not in attrs:
        return None
    value = attrs[name]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _fault(what, name, value)
    return float(value)


def _missing(
    attrs: Mapping[str, Any], name: str, dtype: np.dtype[Any], stored: np.dtype[Any], what: str
) -> list[float]:
    """Return the stored numbers that mean "missing" by one attribute. NaN is missing anyway."""
    if name not in attrs:
        return []
    found = attrs[name]
    values = found if isinstance(found, list) else [found]
    if len(values) > _MOST:
        raise _fault(what, name, found)
    numbers: list[float] = []
    for value in values:
        if isinstance(value, str) and dtype.kind == "f":
            value = _from_text(value, what, name)
        if isinstance(value, np.number):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _fault(what, name, found)
        if stored != dtype and name == "_FillValue" and float(value).is_integer():
            # The fill value has the sign of the array's own type.
            bits = 8 * stored.itemsize
            value = int(value) % (1 << bits)
            if stored.kind == "i" and value >= 1 << (bits - 1):
                value -= 1 << bits
        if not math.isnan(value) and _can_be(value, stored):
            numbers.append(float(value) if stored.kind == "f" else int(value))
    return numbers


def _can_be(value: float, stored: np.dtype[Any]) -> bool:
    """Return whether an element of dtype `stored` can have this value, for floats as it rounds."""
    if stored.kind == "f":
        return math.isinf(value) or abs(value) <= float(np.finfo(stored).max)
    limits = np.iinfo(stored)
    return float(value).is_integer() and limits.min <= value <= limits.max


def _from_text(value: str, what: str, name: str) -> float:
    """Return a fill value of floats: xarray stores the base64 text of its eight bytes."""
    try:
        found: float = struct.unpack("<d", base64.standard_b64decode(value))[0]
        return found
    except (binascii.Error, struct.error, ValueError):
        pass
    try:
        return float(value)
    except ValueError:
        raise _fault(what, name, value) from None


def _fault(what: str, name: str, value: Any) -> DtypeError:
    return DtypeError(
        f"The attribute {name} of {what} is {value!r:.80}, expected a number. Correct it, or set "
        "data.decode to 'none' to use the stored numbers as they are."
    )
