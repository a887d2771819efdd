"""Reads a YAML file, applies overrides to its settings, and returns a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from emdist.errors import ConfigError, NotFoundError, StorageError
from emdist.inputs.plugins import nearest
from emdist.inputs.written import Doubtful
from emdist.settings.config import Config, make_config
from emdist.untrusted.yaml import LARGEST, RefusedError, brief, read_yaml


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
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise ConfigError(
                f"{path} is not a configuration: it is larger than {LARGEST:,} bytes."
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
    except RefusedError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {brief(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections; expected at least 'data: {{path: ...}}'.")
    return values


def overridden(
    values: Mapping[str, Any], overrides: Sequence[str], option: str = "--set"
) -> dict[str, Any]:
    """Return `values` with ``section.key=value`` overrides applied; these values are YAML.

    `option` is how the user passes them, for errors.
    """
    out = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for text in overrides:
        place, equals, value = text.partition("=")
        parts = place.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(
                f"{option} {text!r}: expected section.key=value, as in {option} fit.tol=1e-4."
            )
        at = out
        for part in parts[:-1]:
            inner = at.get(part) or {}
            if not isinstance(inner, dict):
                raise ConfigError(f"{option} {text!r}: {part} is not a section.")
            at[part] = dict(inner)
            at = at[part]
        try:
            at[parts[-1]] = _without_lines(read_yaml(value))
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"{option} {place.strip()}: {brief(error)}") from None
    return out


def _without_lines(value: Any) -> Any:
    """Return `value` of an option without line numbers, because it comes from no file."""
    if isinstance(value, Doubtful):
        return Doubtful(value.text)
    if isinstance(value, dict):
        return {key: _without_lines(one) for key, one in value.items()}
    return [_without_lines(one) for one in value] if isinstance(value, list) else value
