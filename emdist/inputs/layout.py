"""`Layout`: how rows and features are made of variables with named dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from emdist.errors import ConfigError
from emdist.inputs.quoting import shown

#: Comparisons that `where` knows.
COMPARISONS = ("equals", "not_equals", "at_least", "at_most")


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
        ends included; a number or a text, one value of the coordinate; ``{"values": [...]}``; or
        ``{"index": ...}``, a position, a list of positions or a text such as ``"10:20"``.
    where
        The conditions on other variables that a row must meet, each with ``variable`` and one or
        more of `COMPARISONS`.
    """

    variables: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    select: tuple[tuple[str, Any], ...] = ()
    where: tuple[Mapping[str, Any], ...] = ()

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


def layout(
    variables: Any = (),
    samples: Any = (),
    features: Any = (),
    select: Any = None,
    where: Any = None,
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
    return Layout(**names, select=_selections(select), where=_conditions(where))


def _names(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"{what} is {shown(value)}; expected a list of names.")
    if len(set(found)) < len(found):
        raise ConfigError(f"{what} is {shown(list(found))}, which names something twice.")
    return tuple(found)


def _selections(value: Any) -> tuple[tuple[str, Any], ...]:
    if value is None:
        return ()
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
        return [_plain(value.start), _plain(value.stop)]
    if isinstance(value, Mapping):
        if set(value) == {"index"}:
            return {"index": _index(name, value["index"])}
        if set(value) == {"values"}:
            values = list(value["values"]) if isinstance(value["values"], Sequence) else None
            if values and not isinstance(value["values"], str):
                return {"values": [_plain(one) for one in values]}
        raise _unlike(name, value)
    value = _plain(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence) and len(value) == 2:
        return [_plain(one) for one in value]
    raise _unlike(name, value)


def _index(name: str, value: Any) -> Any:
    if isinstance(value, slice):
        parts = [value.start, value.stop] + ([] if value.step is None else [value.step])
        return ":".join("" if part is None else str(int(part)) for part in parts)
    value = _plain(value)
    if isinstance(value, bool):
        raise _unlike(name, {"index": value})
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        parts = value.split(":")
        if 2 <= len(parts) <= 3 and all(
            p.strip().lstrip("-").isdigit() or not p.strip() for p in parts
        ):
            return value
    elif isinstance(value, Sequence) and value and all(type(_plain(i)) is int for i in value):
        return [_plain(i) for i in value]
    raise _unlike(name, {"index": value})


def _plain(value: Any) -> Any:
    """Return a number of NumPy as Python's, a date as text, and anything else as it is."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
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
    found = (value,) if isinstance(value, Mapping) else value
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise _no_condition(value)
    for one in found:
        if not isinstance(one, Mapping) or not isinstance(one.get("variable"), str):
            raise _no_condition(one)
        asked = set(one) - {"variable"}
        if not asked or not asked <= set(COMPARISONS):
            raise _no_condition(one)
        if not all(_is_number(one[name], several=name.endswith("equals")) for name in asked):
            raise _no_condition(one)
    return tuple({name: _plain(entry) for name, entry in one.items()} for one in found)


def _is_number(value: Any, several: bool) -> bool:
    """Return whether a condition compares with a number or, if `several`, with a list of them."""
    value = _plain(value)
    if several and isinstance(value, Sequence) and not isinstance(value, str):
        return bool(value) and all(_is_number(one, several=False) for one in value)
    return isinstance(value, int | float)


def _no_condition(value: Any) -> ConfigError:
    return ConfigError(
        f"data.where is {shown(value)}; expected a variable and a comparison with a number, such "
        f"as {{variable: landmask, equals: 0}}; comparisons are {', '.join(COMPARISONS)}."
    )
