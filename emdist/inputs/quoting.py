"""Quotes values in messages: short, and without credentials."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: What is removed. From a URL: user and password, query and fragment, which may hold credentials.
#: From a server's answer: everything after its status, because it may repeat the request.
_HIDDEN = (
    (re.compile(r"(\w://)[^/\s@]*@"), r"\1"),
    # A password that contains a "/".
    (re.compile(r"(\w://)[^/\s@:]*:(?!\d+/)[^\s@]*@"), r"\1"),
    (re.compile(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*"), r"\1?..."),
    (re.compile(r"\?[^\s'\"?]*=[^\s'\"]*"), "?..."),
    (re.compile(r"(status code: \d+ [A-Za-z ]+):.*", re.DOTALL), r"\1"),
)


#: How many names `named` lists, and how many characters of each.
_NAMES, _LONGEST = 5, 40
#: The largest number of characters of a quoted value, of values of a list, and of nested lists.
_QUOTED, _FEW, _DEEP = 100, 8, 2


def shown(value: Any, depth: int = 0) -> str:
    """Return `value` as messages quote it: short, URLs without credentials, no whole sections."""
    if isinstance(value, Mapping):
        text = f"a mapping of {len(value)}" if value else "{}"
    elif isinstance(value, list | tuple | set | frozenset):
        if len(value) > _FEW or depth == _DEEP:
            text = f"{len(value)} values"
        else:
            text = "[" + ", ".join(shown(one, depth + 1) for one in value) + "]"
    elif isinstance(value, str | bytes):
        text = repr(value[:_QUOTED])
    elif isinstance(value, bool | float | None):
        text = repr(value)
    elif isinstance(value, int):
        digits = value.bit_length() > 200
        text = "a number of more than 60 digits" if digits else int.__repr__(value)
    elif isinstance(value, PurePath):
        text = repr(str(value)[:_QUOTED])
    else:
        text = _described(value, depth)
    return without_credentials(text if len(text) <= _QUOTED + 20 else f"{text[:_QUOTED]}...")


def _described(value: Any, depth: int) -> str:
    """Return a description of a value that has no short text of its own."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and isinstance(value, np.ndarray | np.generic):
        small = value.ndim <= _DEEP - depth and value.size <= _FEW and value.dtype.kind in "biufUS"
        return shown(value.tolist(), depth) if small else f"an array of shape {shape}"
    if isinstance(value, type) or callable(value):
        kind = "class" if isinstance(value, type) else "function"
        return f"the {kind} {getattr(value, '__name__', type(value).__name__)!s}"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeio' else 'a'} {kind}"


def without_credentials(text: str) -> str:
    """Return `text` with only scheme, host and path left of its URLs."""
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    return text


def listed(found: Sequence[T], shown: int = 8, each: Callable[[T], str] = str) -> str:
    """Return the first few of `found` as text, and how many more there are."""
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(map(each, found[:shown])) + more


def named(names: Iterable[Any]) -> str:
    """Return the first few of `names`, each shortened."""
    found = [f"{one!s:.{_LONGEST}}" for one in islice(names, _NAMES + 1)]
    return ", ".join(found[:_NAMES]) + (", ..." if len(found) > _NAMES else "")


def shown_size(nbytes: float) -> str:
    """Return bytes in a readable form: MiB, or GiB or TiB with one digit."""
    if nbytes >= 10 * 2**40:
        return f"{nbytes / 2**40:,.1f} TiB"
    return f"{nbytes / 2**30:,.1f} GiB" if nbytes >= 2**30 else f"{-(-int(nbytes) >> 20)} MiB"
