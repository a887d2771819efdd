"""Validation of settings: messages say where the fault is, what was expected and what was given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from emdist.errors import ConfigError
from emdist.inputs.expected import expected, wrong_kind
from emdist.inputs.plugins import nearest
from emdist.inputs.quoting import shown
from emdist.inputs.written import Doubtful, DoubtfulError, WrittenFloat, WrittenInt, as_written
from emdist.wording import either

#: The types of validation errors of emdist itself, whose messages already quote the input.
_OWN_CHECKS = ("unknown_name", "size", "run_key")

_UNITS = {"b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("b", 10**3), ("ib", 2**10))
}

#: Types of values that may be, or may contain, text or a number; see `emdist.inputs.written`.
_AS_WRITTEN = (bool, Doubtful, WrittenInt, WrittenFloat, list, Mapping)

#: A size in bytes that no block has. Sizes are computed in 64 bits.
_LARGEST_SIZE = 1 << 62
#: The longest name of a run in bytes. File systems allow 255, and names of artifacts contain it.
_LONGEST_KEY = 200
#: How many faults a message lists.
_LISTED = 8
#: The names by which pydantic marks the alternatives of a union in the position of a fault.
_TYPES = ("bool", "bytes", "float", "int", "none", "str")
_WRAPPED = ("constrained-", "dict[", "function-", "list[", "literal[", "tuple[")


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as ``"128 MiB"``. Raise ValueError if it is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b|b)\s*", text, re.IGNORECASE)
    found = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if not 1 <= found < _LARGEST_SIZE:
        raise ValueError(f"{shown(text)} is not a size; write for example '128 MiB'")
    return int(found)


def size(text: str) -> str:
    """Return `text` if it is a size in bytes. A validator for pydantic."""
    try:
        parse_bytes(text)
    except ValueError as error:
        raise PydanticCustomError("size", "{why}", {"why": str(error)}) from None
    return text


def cache_size(value: Any) -> Any:
    """Return "auto", "off" or a size in bytes as it is. A validator for pydantic.

    YAML reads a bare ``off`` as false, which a section with text then has as "false".
    """
    if value is False or value == "false":
        return "off"
    if isinstance(value, str) and value not in ("auto", "off"):
        try:
            parse_bytes(value)
        except ValueError:
            raise PydanticCustomError(
                "cache",
                "{why}",
                {"why": "expected 'auto', 'off' or a size such as '4 GiB'"},
            ) from None
    return value


def key_fault(key: str) -> str | None:
    """Return what is wrong with the name of a run, which names its folder, or None."""
    if not key:
        return "is empty; give the run a name"
    if "/" in key or "\\" in key or key in (".", ".."):
        return "is a path, not a name; give the folder separately, as run.folder"
    if not key.isprintable():
        return "contains a line break or another character that cannot be printed"
    if key != key.strip():
        return "begins or ends with a space"
    if len(key.encode()) > _LONGEST_KEY:
        return f"has {len(key.encode()):,} bytes, but a name can have at most {_LONGEST_KEY}"
    return None


def run_key(key: str) -> str:
    """Return `key` if it can be the name of a run. A validator for pydantic."""
    if (why := key_fault(key)) is not None:
        shown_key = key if len(key) <= 60 else f"{key[:60]}..."
        raise PydanticCustomError("run_key", "{why}", {"why": f"{shown_key!r} {why}"})
    return key


def explain(
    error: ValidationError,
    root: Any,
    where: str,
    names: Mapping[str, str] | None = None,
    section: str = "",
) -> str:
    """Return a validation error as lines: where, what was expected, what was given.

    Parameters
    ----------
    error
        The error from pydantic.
    root
        The class that was validated.
    where
        The origin of the values, such as a file. It is not used if `section` is given.
    names
        The user's name for a key, if it differs from the section's name for it.
    section
        The key of a configuration that contains the values.
    """
    details = _without_alternatives(error.errors())
    lines = [_explain_one(detail, root, names or {}, section) for detail in details[:_LISTED]]
    if len(details) == 1:
        return lines[0] if section else f"{where}: {lines[0]}"
    more = [f"... and {len(details) - _LISTED} more"] if len(details) > _LISTED else []
    return "\n  ".join([f"{section or where}: {len(details)} errors", *lines, *more])


def _without_alternatives(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return `details` without pydantic's names for the alternatives of a union.

    For a value that is neither an int nor a tuple of ints, pydantic reports two faults. This keeps
    the alternative in whose parts the fault is, or else the first one.
    """
    found: dict[tuple[int | str, ...], dict[int | str, list[ErrorDetails]]] = {}
    kept: list[ErrorDetails] = []
    for detail in details:
        loc = detail["loc"]
        at = next((i for i, part in enumerate(loc) if _is_alternative(part)), None)
        if at is None:
            kept.append(detail)
            continue
        own = found.setdefault(loc[:at], {})
        if not own:
            kept.append({**detail, "loc": loc[:at]})
        without = tuple(part for part in loc[at:] if not _is_alternative(part))
        own.setdefault(loc[at], []).append({**detail, "loc": loc[:at] + without})
    told: list[ErrorDetails] = []
    for detail in kept:
        alternatives = found.get(detail["loc"])
        if alternatives is None:
            told.append(detail)
        else:
            lists = list(alternatives.values())
            deepest = max(range(len(lists)), key=lambda i: len(lists[i][0]["loc"]))
            told.extend(lists[deepest])
    return told


def _is_alternative(part: int | str) -> bool:
    """Return whether a part of a position is pydantic's name for one of several types."""
    return isinstance(part, str) and (part in _TYPES or part.startswith(_WRAPPED))


def _explain_one(
    detail: ErrorDetails, root: Any, names: Mapping[str, str], section: str = ""
) -> str:
    """Return the message for one fault of a validation error."""
    place = ".".join(f"{part!s:.60}" for part in detail["loc"])
    stem, _, last = place.rpartition(".")
    place = names.get(place) or (names.get(stem) if last.isdigit() else None) or place
    if section:
        place = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", place)
    if section and not place:
        return _of_section(section, f"{detail.get('ctx', {}).get('error', detail['msg'])}", root)
    if section:
        place = f"{section}.{place}"
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_keys(root, detail["loc"][:-1])
        if (inner := _in_a_section(root, detail["loc"])) is not None:
            return f"{place} is not a known key (did you mean {inner!r}?)."
        return _unknown(place, f"{detail['loc'][-1]!s:.60}", known)
    if detail["type"] in ("missing", "missing_argument"):
        return f"{place} is missing."
    at = f"{place}: " if place else ""
    if isinstance(detail["input"], Doubtful):
        return f"{at}{detail['input'].why}."
    if detail["input"] is None and detail["loc"]:
        return f"{place} has no value. Give one, or leave {place} out to use its default."
    if detail["type"] == "model_type":
        wanted = either("a dict", f"a section, as in '{place}: {{key: ...}}'")
        return f"{at}expected {wanted}, got {shown(detail['input'])}."
    if detail["type"] == "value_error":  # The section itself raised it, with its own message.
        why = str(detail["ctx"]["error"])
        return why if place and why.startswith((f"{place}.", f"{place}[")) else f"{at}{why}"
    # Our own checks quote the input themselves, and secrets must not be quoted.
    told = detail["type"] in _OWN_CHECKS or "storage_options" in detail["loc"]
    got = "" if told else f", got {shown(detail['input'])}"
    return f"{at}{expected(detail)}{got}."


def _unknown(place: str, key: str, known: Sequence[str]) -> str:
    """Return the message that the `key` at `place` is not among the `known` keys."""
    if not known:
        above = place.rpartition(".")[0] or "it"
        return f"{place} is not a known key: there are no options here. Leave {above} out."
    return f"{place} is not a known key{nearest(key, known)}; known keys: {', '.join(known)}."


def _in_a_section(root: Any, path: tuple[int | str, ...]) -> str | None:
    """Return the key of a section for an unknown key at the top, such as `fit.n_init`, or None."""
    known = _known_keys(root, ())
    if len(path) != 1 or nearest(str(path[0]), known):
        return None
    inner = {key: name for name in known for key in _known_keys(root, (name,)) if key not in known}
    close = difflib.get_close_matches(str(path[0]), [*inner], n=1)
    return f"{inner[close[0]]}.{close[0]}" if close else None


def _of_section(section: str, why: str, cls: Any) -> str:
    """Return a class's message about all its options, with the key with which it begins, if any."""
    word = re.match(r"[a-z_]*", why)
    keyed = word is not None and word[0] in _known_keys(cls, ())
    return f"{section}.{why}" if keyed else f"{section}: {why}"


def _known_keys(root: Any, path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at `path` below the class `root`."""
    for part in path:
        field = getattr(root, "model_fields", {}).get(part)
        annotation = getattr(field, "annotation", None)
        if is_dataclass(root):
            annotation = get_type_hints(root).get(str(part))
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        root = next((c for c in candidates if hasattr(c, "model_fields") or is_dataclass(c)), root)
    if is_dataclass(root):
        return [field.name for field in fields(root) if field.init]
    return list(getattr(root, "model_fields", {}))


@lru_cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    # Cached, because making an adapter takes longer than an iteration of a small fit.
    return TypeAdapter(cls)


@lru_cache
def _hints(cls: Any) -> Mapping[str, Any]:
    # Cached for the same reason.
    return get_type_hints(cls, include_extras=True)


def options_as_written(cls: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` for the dataclass `cls`, as text for fields that are text.

    See `emdist.inputs.written`.
    """
    if not any(isinstance(value, _AS_WRITTEN) for value in options.values()):
        return dict(options)
    wanted: Any = cls
    hints = _hints(wanted)
    return {key: as_written(value, hints.get(key, Any), key) for key, value in options.items()}


def checked_options(
    cls: type[Any], options: Mapping[str, Any], where: str, others: Sequence[str] = ()
) -> Any:
    """Return a `cls`, a frozen dataclass, made from `options` of a configuration.

    `others` are the keys at `where` that are no options of `cls`. Raise ConfigError if the options
    are wrong.
    """
    wanted: Any = cls
    adapter = _adapter(wanted)
    known = [field.name for field in fields(cls) if field.init]
    for key in options:
        if key not in known:
            word = f"{key!s:.60}"
            raise ConfigError(_unknown(f"{where}.{word}", word, [*others, *known]))
    try:
        written = options_as_written(cls, options)
        hints = _hints(wanted)
        for key, value in written.items():
            if (kind := wrong_kind(hints[key], value)) is not None:
                raise ConfigError(f"{where}.{key}: {kind}, got {shown(value)}.")
        return adapter.validate_python(written)
    except ValidationError as error:
        raise ConfigError(explain(error, cls, where, section=where)) from None
    except DoubtfulError as error:
        raise ConfigError(f"{where}.{error}") from None


def whole_number(value: Any, name: str, least: int) -> int:
    """Return `value` as an int.

    Raise ConfigError unless it is a whole number of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name}={shown(value)}; expected a whole number, at least {least}.")
    return int(value)


def is_number(text: str | bytes) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def switch(value: Any, name: str) -> bool:
    """Return `value` as a bool.

    Raise ConfigError for numbers and text, which Python takes for true.
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name}={shown(value)}; expected True or False.")
    return bool(value)
