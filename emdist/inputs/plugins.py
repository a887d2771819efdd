"""Plug-ins, one per file: families, seeders, kinds of clusters and others are found by scanning."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from emdist.errors import ConfigError
from emdist.parameters.models import OTHER_FAMILIES


@lru_cache
def plugins(package: str, constant: str) -> dict[str, Any]:
    """Return the plug-ins by name, from every module of `package` that defines `constant`.

    The name is the module's constant ``name`` if it has one, else the name of the file. A module
    with several plug-ins has a dictionary of them, by name.
    """
    root = importlib.import_module(package)
    found = {}
    for info in pkgutil.iter_modules(root.__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        one = getattr(module, constant, None)
        if isinstance(one, dict):
            found.update(one)
        elif one is not None:
            found[getattr(module, "name", info.name)] = one
    return found


def family_name(name: str) -> str:
    """Return emdist's name of a family: scikit-learn's ``diag`` is ``diagonal`` here."""
    return OTHER_FAMILIES.get(name, name)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest of `words`, or an empty string."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def plugin(package: str, constant: str, name: str) -> Any:
    """Return the plug-in called `name`.

    Raise ConfigError, with the known names, if there is none.
    """
    known = plugins(package, constant)
    if name not in known:
        raise ConfigError(
            f"{constant} {name!r} is not known{nearest(name, known)}; "
            f"choose one of {', '.join(sorted(known))}."
        )
    return known[name]
