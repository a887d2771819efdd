"""From a YAML file, and settings laid over it, to a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emdist.config import Config, make_config
from emdist.errors import ConfigError, NotFoundError, StorageError
from emdist.plugins import nearest

#: Largest file that is read: bytes. Real ones have a few thousand.
_LARGEST = 1 << 20
#: Values that a file may come to with its aliases written out, and how deep they may nest.
_MOST, _DEEPEST = 100_000, 64


class _Bounded(yaml.SafeLoader):
    """YAML of plain values, of a size that is known before anything is built.

    A few hundred bytes of aliases to aliases stand for more values than memory holds, and of
    brackets for a deeper nest than the stack. It has state, as every YAML loader has.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = self._depth = 0
        self._anchored: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            # One that stands within itself has no size yet, and never ends.
            self._count(self._anchored.get(str(event.anchor), _MOST + 1))
            return super().compose_node(parent, index)
        before = self._values
        self._count(1)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"it nests more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if event.anchor is not None:
            self._anchored[event.anchor] = self._values - before
        return node

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > _MOST:
            raise yaml.YAMLError(
                f"with its aliases written out it holds more than {_MOST:,} values, or no end of "
                "them"
            )


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """A `Config` from a YAML file and ``section.key=value`` overrides.

    Raises
    ------
    NotFoundError
        If there is no such file.
    ConfigError
        If it is no YAML, or not a configuration.
    """
    return make_config(overridden(read_values(path), overrides), str(path))


def read_values(path: str | Path) -> dict[str, Any]:
    """The sections of a YAML file, unchecked; errors as `read_config`."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise ConfigError(f"{path} is no configuration: it has more than {_LARGEST:,} bytes.")
        values = read_yaml(raw.decode("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(
            f"There is no configuration file {path}{nearest(path.name, siblings)}."
        ) from None
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}. Check its permissions."
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {_brief(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections; wanted at least 'data: {{path: ...}}'.")
    return values


def read_yaml(text: str) -> Any:
    """What `text` says, plain values only.

    Raises
    ------
    yaml.YAMLError, ValueError
        If it is no YAML, names anything but plain values, or stands for more than a
        configuration could need.
    """
    try:
        # The loader that is bounded is yaml's safe one: no objects, no code.
        return yaml.load(text, _Bounded)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        # PyYAML's parser meets some garbage with its own faults.
        raise yaml.YAMLError(f"it cannot be parsed ({type(error).__name__})") from None


def _brief(error: Exception) -> str:
    """What is wrong and where, without the lines of the file, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{error!s:.200}"
    return f"{error.problem!s:.200}, line {mark.line + 1}, column {mark.column + 1}"  # type: ignore[attr-defined]


def overridden(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with ``section.key=value`` settings laid over them; values are YAML."""
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for text in overrides:
        place, equals, value = text.partition("=")
        parts = place.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"--set {text!r}: wanted section.key=value, as in fit.tol=1e-4.")
        at = out
        for part in parts[:-1]:
            inner = at.get(part) or {}
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {text!r}: {part} is not a section.")
            at[part] = dict(inner)
            at = at[part]
        try:
            at[parts[-1]] = read_yaml(value)
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"--set {place.strip()}: {_brief(error)}") from None
    return out
