"""Selections and conditions written as texts, such as ``depth=0:500`` and ``landmask=0``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from emdist.errors import ConfigError
from emdist.wording import either

#: Signs of comparisons, and their names in a configuration. Longer signs come first.
SIGNS = {
    "!=": "not_equals",
    ">=": "at_least",
    "<=": "at_most",
    "==": "equals",
    "=": "equals",
    "<": "below",
    ">": "above",
}

#: A date with a clock time, whose colons do not separate the ends of a range.
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d(?!\d)(?::\d\d(?!\d)(?::\d\d(?!\d)(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?"
)
_DATE = re.compile(r"\d{4}-\d\d")
#: A clock time without a date. Numbers are not written with such zeros.
_CLOCK = re.compile(r"\d\d:0\d(:\d\d)?|0\d:\d\d(:\d\d)?")
_CONDITION = re.compile(rf"([^=!<>]+)({'|'.join(SIGNS)})([^=!<>]+)")
#: What stands in a message for a text that says too little.
_EXAMPLE: Mapping[str, Any] = {
    "select": {"depth": [0, 500]},
    "where": {"variable": "landmask", "equals": 0},
}
_EXAMPLES = "as in depth=0:500, depth=10, depth=values:10,500 or depth=index:0:10"


def selection_of(text: str) -> tuple[str, Any]:
    """Return the dimension and what to read of it, as `emdist.inputs.layout.Layout` has it.

    The text is ``DIM=LOW:HIGH`` or ``DIM=LOW..HIGH`` for a range, whose ends may be empty, so that
    ``DIM=:`` is all of it, also where a model was fitted to a part;
    ``DIM=VALUE``; ``DIM=values:A,B`` for several values; or ``DIM=index:I``, ``DIM=index:I,J`` or
    ``DIM=index:FROM:TO`` for positions.

    Raises
    ------
    ConfigError
        If the text has none of these forms, or can be read in two ways.
    """
    dim, sign, value = (part.strip() for part in text.partition("="))
    if not dim or not sign or not value or dim.endswith(("!", "<", ">")) or value[0] == "=":
        raise ConfigError(
            f"data.select is {text!r:.100}; expected DIM=LOW:HIGH or DIM=VALUE, {_EXAMPLES}. "
            "Conditions on variables belong to data.where."
        )
    kind, _, listed = value.partition(":")
    if kind == "index":
        return dim, {"index": _positions(text, listed)}
    if kind == "values":
        return dim, {"values": [number_or_text(one) for one in listed.split(",") if one.strip()]}
    if "," in value:
        raise ConfigError(
            f"data.select is {text!r:.100}, which is no range. Several values are "
            f"{dim}=values:{value}, a range is {dim}={':'.join(value.split(',')[:2])}."
        )
    ends = _ends(dim, text, value)
    if len(ends) == 1:
        return dim, number_or_text(ends[0])
    return dim, [number_or_text(end) if end else None for end in ends]


def _positions(text: str, listed: str) -> Any:
    """Return what is behind ``index:``: a position, several, or a range of them as it is."""
    if ":" in listed:
        return listed
    found = [number_or_text(one) for one in listed.split(",")]
    if not all(isinstance(one, int) for one in found):
        raise ConfigError(
            f"data.select is {text!r:.100}; expected positions behind index:, which are whole "
            "numbers from 0, as in index:3, index:0,3 or index:0:10."
        )
    return found[0] if len(found) == 1 else found


def _ends(dim: str, text: str, value: str) -> list[str]:
    """Return the two ends of a range, or the one value."""
    if ".." in value:
        ends = value.split("..")
    elif _CLOCK.fullmatch(value):
        raise ConfigError(
            f"data.select is {text!r:.100}, which is a range or a clock time. Write "
            f"{dim}={value.replace(':', '..')} for a range, or give a time with its date, as in "
            f"{dim}=2020-01-02T{value}."
        )
    else:
        inside = {at for one in _MOMENT.finditer(value) for at in range(*one.span())}
        marked = "".join(
            "\n" if character == ":" and i not in inside else character
            for i, character in enumerate(value)
        )
        ends = marked.split("\n")
    if len(ends) > 2:
        raise ConfigError(
            f"data.select is {text!r:.100}; expected one value, or the two ends of a range with : "
            f"or .. between them, {_EXAMPLES}. Only positions have steps, as in "
            f"{dim}=index:0:10:2."
        )
    return [end.strip() for end in ends]


def condition_of(text: str) -> dict[str, Any]:
    """Return the condition of ``VARIABLE SIGN NUMBER``, as a configuration has it.

    ``=`` and ``!=`` also take several numbers, with commas between them.

    Raises
    ------
    ConfigError
        If the text is not of this form.
    """
    found = _CONDITION.fullmatch(text)
    name, sign, value = (part.strip() for part in found.groups()) if found else ("", "", "")
    if not name or not value:
        raise ConfigError(
            f"data.where is {text!r:.100}; expected a variable, one of "
            f"{', '.join(SIGNS)} and a number, as in landmask=0. Several conditions are given "
            "one by one."
        )
    numbers = [_number(text, name, one) for one in value.split(",")]
    if len(numbers) > 1 and not SIGNS[sign].endswith("equals"):
        raise ConfigError(
            f"data.where is {text!r:.100}; expected one number behind {sign}. Only = and != take "
            "several."
        )
    return {"variable": name, SIGNS[sign]: numbers if len(numbers) > 1 else numbers[0]}


def _number(text: str, name: str, value: str) -> int | float | bool:
    """Return the number, true or false that a condition compares with."""
    value = value.strip()
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    number = number_or_text(value)
    if not isinstance(number, str):
        return number
    swapped = not isinstance(number_or_text(name), str)
    told = (
        "The variable comes first, then the number."
        if swapped
        else "A range of times or of another dimension belongs to data.select."
    )
    raise ConfigError(f"data.where is {text!r:.100}, but {value!r:.40} is not a number. {told}")


def number_or_text(text: str) -> int | float | str:
    """Return a text as a number if it is one."""
    text = text.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def corrected(key: str, value: Any) -> str | None:
    """Return what to write in place of a layout's `value` that is a text; None if it is none.

    Parameters
    ----------
    key
        The key of the value in the section ``data`` of a configuration.
    value
        A value such as ``"depth=0:500"``, for which a configuration has ``{depth: [0, 500]}``.

    Returns
    -------
    told
        The advice, with the value as a configuration or Python writes it.
    """
    try:
        meant = _meant(key, value)
    except ConfigError:  # What is written says too little to be corrected.
        meant = None if isinstance(value, Mapping) else _EXAMPLE.get(key)
    if meant is None:
        return None
    like = "something like " if meant is _EXAMPLE.get(key) else ""
    return f"expected {like}{either(f'{key}={meant!r}', f'{key}: {_yaml(meant)}')}"


def _meant(key: str, value: Any) -> Any:
    if key == "where":
        alone = isinstance(value, str)
        values = [value] if alone else value if isinstance(value, list | tuple) else []
        if isinstance(value, Mapping) and not {"variable", *SIGNS.values()} & set(value):
            known = all(isinstance(one, int | float) for one in value.values())
            found = [{"variable": name, "equals": one} for name, one in value.items()]
            return None if not found or not known else found if len(found) > 1 else found[0]
        if not any(isinstance(one, str) for one in values):
            return None
        found = [condition_of(one) if isinstance(one, str) else one for one in values]
        return found[0] if alone else found
    if key == "select":
        if isinstance(value, Mapping):
            ends = {dim: _range(one) for dim, one in value.items()}
            return {**value, **{dim: one for dim, one in ends.items() if one}} if any(
                ends.values()
            ) else None  # fmt: skip
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list | tuple) and texts and all(isinstance(t, str) for t in texts):
            return dict(map(selection_of, texts))
        return None
    names = value.split(",") if isinstance(value, str) else []
    return [name.strip() for name in names if name.strip()] if len(names) > 1 else None


def _range(value: Any) -> Any:
    """Return the range of numbers or dates that a text such as ``0:500`` stands for, or None."""
    if not isinstance(value, str):
        return None
    _, found = selection_of(f"dim={value}")
    if not isinstance(found, list):
        return found if isinstance(found, Mapping) else None
    known = all(not isinstance(one, str) or _DATE.match(one) for one in found)
    return found if known else None


def _yaml(value: Any) -> str:
    """Return a value as one line of YAML."""
    import yaml  # Importing it takes longer than estimators need.

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_yaml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    line: str = yaml.safe_dump(value, width=1000).splitlines()[0]
    return line
