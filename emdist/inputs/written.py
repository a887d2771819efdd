"""Numbers of a configuration with their text, because a value such as 012 may be meant as a name.

``run.key: 012`` is a name. ``fit.seed: 012`` is a mistake: some readers of YAML take it for 12 and
others for 10. Only the section that takes a value knows which it is, so the reader of YAML passes
on both the number and its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


class DoubtfulError(ValueError):
    """A doubtful number where any value is allowed. The message says where, and what to write."""


class _Written:
    """A number that knows its text. It is pickled as the plain number."""

    text = ""

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(plain(self)), (plain(self),)


class WrittenInt(_Written, int):
    """A whole number, with its text."""

    def __new__(cls, text: str) -> WrittenInt:
        made = super().__new__(cls, text)
        made.text = text
        return made


class WrittenFloat(_Written, float):
    """A number with a point or an exponent, or infinity or NaN, with its text."""

    def __new__(cls, text: str) -> WrittenFloat:
        made = super().__new__(cls, re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
        made.text = text
        return made


@dataclass(frozen=True)
class Doubtful:
    """A number that readers of YAML read as different values, or one in an unusual notation.

    Attributes
    ----------
    text
        The number as written.
    line
        The line of the file, from 1 on; 0 if there is no file.
    """

    text: str
    line: int = 0

    def __str__(self) -> str:
        return self.text

    @property
    def why(self) -> str:
        """What is wrong with it as a number, and what to write instead."""
        where = f" (line {self.line})" if self.line else ""
        return f"{self.text!r}{where} {self._remedy()}"

    def _remedy(self) -> str:
        """Return why the number is doubtful, and what to write instead."""
        text = self.text.lower().replace("_", "")
        sign = "-" if text.startswith("-") else ""
        bare = text.lstrip("+-")
        if ":" in bare:
            return f"is a base-60 number in YAML 1.1; write {sign}{_sexagesimal(bare)}"
        if re.fullmatch(r"0[0-7]+", bare):
            return (
                f"is {int(bare)} for some YAML readers and, in octal, {int(bare, 8)} for "
                f"others; write {sign}{int(bare)} or {sign}{int(bare, 8)}"
            )
        if re.fullmatch(r"0[xob][0-9a-f]+", bare):
            return f"is not a decimal number; write {sign}{int(bare, 0)}"
        plain = bare.lstrip("0") if bare[:1] == "0" and bare.isdigit() else bare
        return f"is not a plain decimal number; write {sign}{plain or '0'}"


def _sexagesimal(text: str) -> str:
    """Return the decimal form of a number to the base 60, such as 1:30."""
    whole, _, rest = text.partition(".")
    value = 0
    for part in whole.split(":"):
        value = value * 60 + int(part)
    return f"{value}.{rest}" if rest else str(value)


def as_written(value: Any, wanted: Any, place: str = "") -> Any:
    """Return `value` of a configuration in the form that `wanted` takes: text, or a plain number.

    A doubtful value stays doubtful if one number is wanted, and the check of that number reports
    it.

    Raises
    ------
    DoubtfulError
        For a doubtful number where any value is allowed. The message shows its `place`.
    """
    kinds = _kinds(wanted)
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        return value  # It checks its own values.
    items = next((get_args(kind) for kind in kinds if get_origin(kind) in (list, tuple)), None)
    if isinstance(value, list) and items:
        return [as_written(one, items[0], f"{place}[{i}]") for i, one in enumerate(value)]
    inner = next((get_args(kind) for kind in kinds if get_origin(kind) is dict), None)
    if isinstance(value, Mapping) and inner:
        return {k: as_written(v, inner[1], f"{place}.{k}") for k, v in value.items()}
    if kinds & {str, Literal} and not kinds & {int, float, bool, Any}:
        return _as_text(value)
    if isinstance(value, Doubtful) and Any not in kinds:
        return value
    return plain(value, place)


def _kinds(wanted: Any) -> set[Any]:
    """Return the types that `wanted` stands for: those of a union, without annotations."""
    origin = get_origin(wanted)
    if origin is Annotated:
        return _kinds(get_args(wanted)[0])
    if origin in (Union, UnionType):
        return set().union(*(_kinds(one) for one in get_args(wanted)))
    return {Literal} if origin is Literal else {wanted}


def _as_text(value: Any) -> Any:
    """Return the text of a value that YAML did not read as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | date | Doubtful):
        return str(value)
    return value


def plain(value: Any, place: str = "") -> Any:
    """Return `value` with plain numbers only. Raise DoubtfulError for a doubtful number."""
    if isinstance(value, Mapping):
        return {key: plain(one, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(one, f"{place}[{i}]") for i, one in enumerate(value))
    if isinstance(value, Doubtful):
        raise DoubtfulError(f"{place}: {value.why}. Put it in quotes if it is not a number.")
    if isinstance(value, WrittenInt | WrittenFloat):
        return int(value) if isinstance(value, int) else float(value)
    return value
