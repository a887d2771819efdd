"""Keep storage options out of Prefect, which stores and shows the parameters of a run.

A script keeps them in its own process. A worker reads them from the YAML file that the environment
variable ``EMDIST_STORAGE_OPTIONS`` names. This file has the sections ``data``, ``run``, ``labels``
and ``model``, each a mapping of options. Credentials that the object store finds in its own
environment variables need no storage options.

Prefect: the parameters of a run are stored as plain text, and shown.
Issue: https://github.com/PrefectHQ/prefect/issues/11679 and 16888 (both closed).
Goes when: parameters can be marked as secret, and are neither stored nor shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel

from emdist.errors import ConfigError
from emdist.inputs.written import as_written
from emdist.runtime.contexts import set_to
from emdist.untrusted.yaml import read_yaml

FILE = "EMDIST_STORAGE_OPTIONS"
#: Bytes. Prefect refuses larger parameters.
LIMIT = 512 * 1024

#: Names of settings, usually of clusters, whose values are credentials.
_SECRET = re.compile(
    r"passw(or)?d|passphrase|token|secret|credential|(api|private|access)_?key", re.IGNORECASE
)

Options = Mapping[str, Mapping[str, str]]
M = TypeVar("M", bound=BaseModel)

_held: ContextVar[Options | None] = ContextVar("emdist_storage_options", default=None)


def held(options: Options) -> AbstractContextManager[None]:
    """Make `storage_options` return `options` inside the block."""
    return set_to(_held, options)


def storage_options(path: str | None = None) -> Options:
    """Return the storage options by section, from the file `path`, the script or the worker."""
    options = _held.get() if path is None else None
    path = path or os.environ.get(FILE)
    if options is not None or not path:
        return options or {}
    try:
        read = read_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        # Do not show the text of the YAML error, because it may quote a secret.
        raise ConfigError(
            f"The file of storage options {path} cannot be read ({type(error).__name__}). Check "
            "the path, and that the file is valid YAML."
        ) from None
    if not isinstance(read, dict) or not all(isinstance(v, dict) for v in read.values()):
        raise ConfigError(
            f"The file of storage options {path} has no sections, expected a mapping for each, as "
            "in 'data: {region: ...}'."
        )
    return {name: as_written(section, dict[str, str]) for name, section in read.items()}


def split(values: M) -> tuple[M, Options]:
    """Return `values` without the storage options of its sections, and these options."""
    sections = {n: s for n, s in values if isinstance(getattr(s, "storage_options", None), dict)}
    options = {name: s.storage_options for name, s in sections.items() if s.storage_options}
    public = {name: sections[name].model_copy(update={"storage_options": {}}) for name in options}
    return values.model_copy(update=public), options


def joined(values: M, options: Options) -> M:
    """Return `values` with the storage options of its sections."""
    sections = {
        name: section.model_copy(update={"storage_options": dict(options[name])})
        for name, section in values
        if name in options and hasattr(section, "storage_options")
    }
    return values.model_copy(update=sections)


def check_public(values: BaseModel) -> None:
    """Raise ConfigError for parameters that contain a secret or are too large for Prefect."""
    _, options = split(values)
    if options:
        raise ConfigError(
            f"The storage_options of {', '.join(options)} are in a parameter, but Prefect stores "
            "and shows parameters. Put them into the file that the environment variable "
            f"{FILE} names on the worker, or into the environment."
        )
    for place, text in _texts(values.model_dump(), ""):
        if text and _SECRET.search(place.rpartition(".")[2]):
            raise ConfigError(
                f"{place} is a secret, but Prefect stores and shows parameters. Put it where the "
                "package of the cluster looks for credentials: into its own file or the "
                "environment."
            )
        if "://" in text and _may_hold_secrets(text):
            raise ConfigError(
                f"{place} is a URL with a user or password, a query or a fragment, but Prefect "
                "stores and shows parameters. Put credentials into the environment."
            )
    size = len(values.model_dump_json().encode())
    if size > LIMIT:
        raise ConfigError(
            f"The configuration has {size:,} bytes, but Prefect accepts at most {LIMIT:,}. Make it "
            "smaller."
        )


def _may_hold_secrets(url: str) -> bool:
    """Return whether `url` has a user, a query or a fragment, or cannot be read as a URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # It is not a number if a password with "/" was cut there: ValueError.
    except ValueError:
        return True
    return bool("@" in parts.netloc or parts.query or parts.fragment)


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, str):
        yield place, value
