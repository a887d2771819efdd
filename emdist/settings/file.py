"""Reads a YAML file, applies overrides to its settings, and returns a checked configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emdist.errors import ConfigError, NotFoundError, StorageError
from emdist.inputs.plugins import nearest
from emdist.inputs.written import Doubtful, WrittenFloat, WrittenInt
from emdist.runtime.defects import is_defect
from emdist.settings.config import Config, make_config

#: The largest file that is read, in bytes. Real configurations have a few thousand.
_LARGEST = 1 << 20
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


class _RefusedError(yaml.YAMLError):
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
                raise _RefusedError(f"line {line}: a key must be a name, not a list or a section.")
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"  # Keys are text, even if they look like numbers.
            if key.value in lines:
                first = lines[key.value]
                where = f"line {first}" if first == line else f"lines {first} and {line}"
                raise _RefusedError(
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


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Return a `Config` from a YAML file and ``section.key=value`` overrides.

    Raises
    ------
    NotFoundError
        If there is no such file.
    ConfigError
        If the file is not YAML, or not a configuration.
    """
    return make_config(overridden(read_values(path), overrides), str(path))


def read_values(path: str | Path) -> dict[str, Any]:
    """Return the sections of a YAML file, unchecked; raises the same errors as `read_config`."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise ConfigError(
                f"{path} is not a configuration: it is larger than {_LARGEST:,} bytes."
            )
        values = read_yaml(raw.decode("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError):
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(
            f"There is no configuration file {path}{nearest(path.name, siblings)}."
        ) from None
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}. Check its permissions."
        ) from None
    except _RefusedError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {_brief(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections; expected at least 'data: {{path: ...}}'.")
    return values


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


def _brief(error: Exception) -> str:
    """Return what is wrong and where, without lines of the file, which may contain a secret."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start + 1} is invalid). Save it as UTF-8."
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{error!s:.200}"
    problem = str(error.problem)  # type: ignore[attr-defined]
    told = next((text for found, text in _REMEDIES.items() if found in problem), problem)
    return f"line {mark.line + 1}, column {mark.column + 1}: {told:.200}"


def overridden(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `values` with ``section.key=value`` overrides applied; these values are YAML."""
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for text in overrides:
        place, equals, value = text.partition("=")
        parts = place.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(
                f"--set {text!r}: expected section.key=value, as in --set fit.tol=1e-4."
            )
        at = out
        for part in parts[:-1]:
            inner = at.get(part) or {}
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {text!r}: {part} is not a section.")
            at[part] = dict(inner)
            at = at[part]
        try:
            at[parts[-1]] = _without_lines(read_yaml(value))
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"--set {place.strip()}: {_brief(error)}") from None
    return out


def _without_lines(value: Any) -> Any:
    """Return `value` of an option without line numbers, because it comes from no file."""
    if isinstance(value, Doubtful):
        return Doubtful(value.text)
    if isinstance(value, dict):
        return {key: _without_lines(one) for key, one in value.items()}
    return [_without_lines(one) for one in value] if isinstance(value, list) else value
