"""Packages whose modules are imported when they are first used, as attributes of the package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType


def on_first_use(package: str) -> Callable[[str], ModuleType]:
    """Return a ``__getattr__`` for `package`, which imports its modules.

    Importing an estimator would otherwise import compilers and stores, which a user who only reads
    help does not need. Type checkers need the names of the modules beside it.
    """

    def imported(name: str) -> ModuleType:
        whole = f"{package}.{name}"
        try:
            return import_module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole:
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return imported
