"""What is expected in place of a wrong value, in the words of all our messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic_core import ErrorDetails

from emdist.inputs.quoting import shown

#: What was expected, by pydantic's type of a fault without its ending, such as ``_type``. Names in
#: braces are of the fault's context.
_EXPECTED = {
    "int": "expected a whole number",
    "float": "expected a number",
    "bool": "expected true or false",
    "string": "expected text",
    "list": "expected a list",
    "tuple": "expected a list",
    "dict": "expected a mapping, as in {{key: value}}",
    "mapping": "expected a mapping, as in {{key: value}}",
    "dataclass": "expected a mapping, as in {{key: value}}",
    "finite_number": "expected a finite number",
    "literal": "expected {expected}",
    "greater_than": "expected a number above {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected a number below {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "too_short": "expected at least {min_length} value(s)",
    "too_long": "expected at most {max_length} value(s)",
}


def expected(detail: ErrorDetails) -> str:
    """Return what was expected in place of a value, in the words of all our messages."""
    kind = re.sub("_(type|parsing|parsing_size|from_float|unicode|error)$", "", detail["type"])
    words = _EXPECTED.get(kind)
    return detail["msg"] if words is None else words.format(**detail.get("ctx", {}))


#: Words of YAML 1.1 for true and false. In YAML 1.2, some of them are text.
SAID = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def wrong_kind(hint: Any, value: Any, text: bool = True) -> str | None:
    """Return what is expected in place of a value of the wrong kind, or None if it is right.

    pydantic accepts true for 1, 1 for true and "3" for 3. These are mistakes more often than
    intentions.

    Parameters
    ----------
    hint
        The annotation of a field.
    value
        The value that was given. Other faults of it are left to pydantic.
    text
        Whether numbers may be written as text, because YAML reads 1e-3 as text.
    """
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in parts:
            return None
        faults = [wrong_kind(part, value, text) for part in parts if part is not type(None)]
        # The longest message says what is wrong within a list.
        return None if None in faults else max((f for f in faults if f), key=len)
    number = "expected a whole number" if hint is int else "expected a number"
    if hint in (int, float):
        wrong = isinstance(value, bool | bytes | list | tuple) or (
            not text and isinstance(value, str)
        )
        return number if wrong else None
    if hint is bool:
        # In YAML 1.1, yes and no are booleans, and a reader may pass on the words.
        said = text and isinstance(value, str) and value.lower() in SAID
        return None if isinstance(value, bool) or said else "expected true or false"
    if hint is str:
        return None if isinstance(value, str) else "expected text"
    if origin in (tuple, list, Sequence):
        return _wrong_in(value, [p for p in parts if p is not Ellipsis], text)
    return None


def _wrong_in(value: Any, parts: list[Any], text: bool) -> str | None:
    """Do the same as `wrong_kind` for a list whose elements have one of the types `parts`."""
    if not isinstance(value, list | tuple):
        return "expected a list"
    for one in value:
        faults = [wrong_kind(part, one, text) for part in parts]
        if faults and None not in faults:
            return f"{faults[0]} in place of {shown(one)}"
    return None
