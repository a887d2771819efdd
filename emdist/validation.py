"""Faults of settings in the words of the user: where, what was got, what is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from emdist.errors import ConfigError
from emdist.plugins import nearest
from emdist.written import Doubtful, DoubtfulError, WrittenFloat, WrittenInt, as_written

#: Kinds of validation errors that are raised by `emdist.config`, whose messages quote the input.
_OWN_CHECKS = ("unknown_name", "size", "run_key")

_UNITS = {"b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for unit, base in (("b", 10**3), ("ib", 2**10))
}

#: What may be text or a number, or hold such; see `emdist.written`.
_AS_WRITTEN = (bool, Doubtful, WrittenInt, WrittenFloat, list, Mapping)

#: Bytes that no block has: sizes are computed in 64 bits.
_LARGEST_SIZE = 1 << 62
#: Bytes of a run's name: file systems take 255, and names of artifacts are made of it.
_LONGEST_KEY = 200
#: Faults that a message lists.
_LISTED = 20
#: What is hidden of a URL: user and password, query and fragment, where credentials stand; of a
#: server's answer, what it says beyond its status, for it may repeat the request.
_HIDDEN = (
    (re.compile(r"(\w://)[^/\s@]*@"), r"\1"),
    # A password with a "/" in it.
    (re.compile(r"(\w://)[^/\s@:]*:(?!\d+/)[^\s@]*@"), r"\1"),
    (re.compile(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*"), r"\1?..."),
    (re.compile(r"\?[^\s'\"?]*=[^\s'\"]*"), "?..."),
    (re.compile(r"(status code: \d+ [A-Za-z ]+):.*", re.DOTALL), r"\1"),
)


def shown(value: Any) -> str:
    """`value` as a message quotes it: short, URLs without credentials, no whole sections."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set) and len(value) > 8:
        return f"{len(value)} values"
    if isinstance(value, str | bytes):
        value = value[:100]
    elif isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    elif not isinstance(value, int | float | None | list | tuple | set):
        return f"a {type(value).__name__}"
    elif isinstance(value, list | tuple | set):
        return "[" + ", ".join(shown(one) for one in value) + "]"
    return without_credentials(repr(value))


def without_credentials(text: str) -> str:
    """`text` with nothing of its URLs but scheme, host and path."""
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    return text


def parse_bytes(text: str) -> int:
    """``"128 MiB"`` to bytes; ValueError if it is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b|b)\s*", text, re.IGNORECASE)
    found = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if not 1 <= found < _LARGEST_SIZE:
        raise ValueError(f"{shown(text)} is no size; write for example '128 MiB'")
    return int(found)


def size(text: str) -> str:
    """`text` if it is a size in bytes, for pydantic."""
    try:
        parse_bytes(text)
    except ValueError as error:
        raise PydanticCustomError("size", "{why}", {"why": str(error)}) from None
    return text


def key_fault(key: str) -> str | None:
    """What is wrong with the name of a run, which becomes that of a folder, or None."""
    if "/" in key or "\\" in key or key in (".", ".."):
        return "is a path, and no name below a folder; give the folder apart (run.folder)"
    if not key.isprintable():
        return "has a line break or another character that cannot be printed"
    if key != key.strip():
        return "begins or ends with a blank"
    if len(key.encode()) > _LONGEST_KEY:
        return f"has {len(key.encode()):,} bytes, and a name has {_LONGEST_KEY} at most"
    return None


def run_key(key: str) -> str:
    """`key` if it can be the name of a run, for pydantic."""
    if (why := key_fault(key)) is not None:
        shown_key = key if len(key) <= 60 else f"{key[:60]}..."
        raise PydanticCustomError("run_key", "{why}", {"why": f"{shown_key!r} {why}"})
    return key


def explain(
    error: ValidationError, root: Any, where: str, names: Mapping[str, str] | None = None
) -> str:
    """A validation error as lines: where, what was got, what is wanted."""
    details = error.errors()
    lines = [_explain_one(detail, root, names or {}) for detail in details[:_LISTED]]
    if len(details) == 1:
        return f"{where}: {lines[0]}"
    more = [f"... and {len(details) - _LISTED} more"] if len(details) > _LISTED else []
    return "\n  ".join([f"{where}: {len(details)} faults", *lines, *more])


def _explain_one(detail: ErrorDetails, root: Any, names: Mapping[str, str]) -> str:
    place = ".".join(f"{part!s:.60}" for part in detail["loc"])
    place = names.get(place, place)
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _known_keys(root, detail["loc"][:-1])
        hint = nearest(f"{detail['loc'][-1]!s:.60}", known)
        return f"{place} is not a known key{hint}; known here: {', '.join(known)}."
    if detail["type"] in ("missing", "missing_argument"):
        return f"{place} is missing."
    at = f"{place}: " if place else ""
    if isinstance(detail["input"], Doubtful):
        return f"{at}{detail['input'].why}."
    if detail["input"] is None and detail["loc"]:
        return f"{place} has no value. Write one, or leave the key out for its default."
    if detail["type"] == "model_type":
        return f"{at}got {shown(detail['input'])}; wanted a section, as in '{place}: {{key: ...}}'."
    if detail["type"] == "value_error":  # raised by the section itself, in its own words
        return f"{at}{detail['ctx']['error']}"
    # Our own checks quote what they got; secrets are not quoted.
    told = detail["type"] in _OWN_CHECKS or "storage_options" in detail["loc"]
    got = "" if told else f", got {shown(detail['input'])}"
    return f"{at}{detail['msg']}{got}."


def _known_keys(root: Any, path: tuple[int | str, ...]) -> list[str]:
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
    # Kept: to make one takes longer than a small fit's iteration.
    return TypeAdapter(cls)


def options_as_written(cls: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` of `cls`, a dataclass, as text where it wants text; see `emdist.written`."""
    if not any(isinstance(value, _AS_WRITTEN) for value in options.values()):
        return dict(options)
    hints = get_type_hints(cls, include_extras=True)
    return {key: as_written(value, hints.get(key, Any), key) for key, value in options.items()}


def checked_options(cls: type[Any], options: Mapping[str, Any], where: str) -> Any:
    """`cls`, a frozen dataclass, made from `options` of a configuration; ConfigError if wrong."""
    wanted: Any = cls
    adapter = _adapter(wanted)
    known = [field.name for field in fields(cls) if field.init]
    for key in options:
        if key not in known:
            word = f"{key!s:.60}"
            raise ConfigError(
                f"{where}.{word} is not a known key{nearest(word, known)}; known here: "
                f"{', '.join(known)}."
            )
    try:
        return adapter.validate_python(options_as_written(cls, options))
    except ValidationError as error:
        raise ConfigError(explain(error, cls, where)) from None
    except DoubtfulError as error:
        raise ConfigError(f"{where}.{error}") from None
