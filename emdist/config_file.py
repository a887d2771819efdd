"""From a YAML file, and settings laid over it, to a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emdist.config import Config, make_config
from emdist.errors import ConfigError, NotFoundError
from emdist.plugins import nearest


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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise NotFoundError(
            f"There is no configuration file {path}{nearest(path.name, siblings)}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections; wanted at least 'data: {{path: ...}}'.")
    return values


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
            at[parts[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text!r}: {error}") from None
    return out
