"""YAML of plain values: limits on size, depth and aliases, checked before anything is built."""

from __future__ import annotations

import re
from typing import Any

import yaml

from emdist.inputs.written import Doubtful, WrittenFloat, WrittenInt
from emdist.runtime.defects import is_defect

#: The largest file that is read, in bytes. Real configurations have a few thousand.
LARGEST = 1 << 20
#: How many values a file may have after its aliases are expanded, and how deep they may nest.
_MOST, _DEEPEST = 100_000, 64


#: Plain values as in YAML 1.2. Dates and "yes" are text here, unlike in YAML 1.1.
_PLAIN = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ("~", "n", "N", "")),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    "tag:yaml.org,2002:int": (r"[-+]?(0|[1-9][0-9]*)", tuple("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"[-+]?((0|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.|(0|[1-9][0-9]*)(?=[eE]))"
        r"([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        tuple("-+0123456789."),
    ),
    "tag:yaml.org,2002:merge": (r"<<", ("<",)),
    # Some readers take these for a number, and others for another number or for text.
    "!doubtful": (
        r"[-+]?(0[0-9_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*_[0-9_]*"
        r"|[0-9][0-9_]*(:[0-5]?[0-9])+)(\.[0-9_]*)?",
        tuple("-+0123456789"),
    ),
}


class RefusedError(yaml.YAMLError):
    """Raised for valid YAML that is not a configuration. Its text is a complete message."""


class _Loader(yaml.SafeLoader):
    """YAML of plain values with unique keys, whose size is checked before anything is built.

    A few hundred bytes of aliases to aliases can stand for more values than memory holds, and
    brackets for deeper nesting than the stack allows. It has state, as every YAML loader has.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  as PyYAML declares it

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = self._depth = 0
        self._anchored: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Build a node after checking how many values it adds and how deep it nests."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.anchors:
            # An alias within its own anchor has no size yet, and would never end.
            self._count(self._anchored.get(str(event.anchor), _MOST + 1))
            return super().compose_node(parent, index)
        before = self._values
        self._count(1)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None:
            self._anchored[event.anchor] = self._values - before
        return node

    def _count(self, values: int) -> None:
        """Count values as if aliases were expanded; raise once there are too many."""
        self._values += values
        if self._values > _MOST:
            raise yaml.YAMLError(
                f"once its aliases are expanded, it holds more than {_MOST:,} values, or "
                "endlessly many"
            )

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Build a mapping; refuse keys that are not names, or that occur twice."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RefusedError(f"line {line}: a key must be a name, not a list or a section.")
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"  # Keys are text, even if they look like numbers.
            if key.value in lines:
                first = lines[key.value]
                where = f"line {first}" if first == line else f"lines {first} and {line}"
                raise RefusedError(
                    f"the key {key.value!r:.80} occurs twice in one section ({where}). Remove "
                    "one of them."
                )
            lines[key.value] = line
        return node


def _number(loader: Any, node: Any) -> Any:
    return _NUMBERS[node.tag](node.value)


def _doubtful(loader: Any, node: Any) -> Any:
    return Doubtful(node.value, node.start_mark.line + 1)


_NUMBERS = {"tag:yaml.org,2002:int": WrittenInt, "tag:yaml.org,2002:float": WrittenFloat}
for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))
for _tag in _NUMBERS:
    _Loader.add_constructor(_tag, _number)
_Loader.add_constructor("!doubtful", _doubtful)


def read_yaml(text: str) -> Any:
    """Return the plain values that `text` holds.

    Raises
    ------
    yaml.YAMLError, ValueError
        If it is not YAML, has anything else than plain values, or stands for more values than any
        configuration needs.
    """
    try:
        # `_Loader` is yaml's safe loader with limits: it makes no objects and runs no code.
        return yaml.load(text, _Loader)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        # PyYAML's parser fails with internal errors on some invalid input.
        if is_defect(error, lambda: yaml.load("a: {b: [1, 2.5, text]}", _Loader)):
            raise
        raise yaml.YAMLError(f"it cannot be parsed ({type(error).__name__})") from None


#: Maps words of PyYAML's messages to clearer ones that say what to do.
_REMEDIES = {
    r"found character '\t'": "it contains a tab; indent with spaces instead",
    "but found another document": "it holds several documents; keep one of those between '---'",
    "found unknown escape character": "a text in double quotes contains a backslash; write it "
    "in single quotes",
    "expected the node content": "a value is missing here, or a bracket is not closed",
    "that cannot start any token": "a text that begins with this character must be in quotes",
    "found unexpected end of stream": "a quote is not closed before this place",
    "found undefined alias": "an alias (*name) has no anchor (&name) before it; put a text that "
    "begins with * in quotes",
    "expected ',' or ']'": "a '[' is not closed before this place",
    "expected ',' or '}'": "a '{' is not closed before this place",
    "expected <block end>": "this line is not indented as the lines before it",
    "could not find expected ':'": "a key has no ':' after it",
    "mapping values are not allowed here": "a ':' is not allowed here; put the text that "
    "contains it in quotes, or begin a new line",
}


def brief(error: Exception) -> str:
    """Return what is wrong and where, without lines of the file, which may contain a secret."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start + 1} is invalid). Save it as UTF-8."
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{error!s:.200}"
    problem = str(error.problem)  # type: ignore[attr-defined]
    told = next((text for found, text in _REMEDIES.items() if found in problem), problem)
    return f"line {mark.line + 1}, column {mark.column + 1}: {told:.200}"
