"""Warnings for settings that have a new name."""

from __future__ import annotations

import warnings

from emdist.errors import ConfigError, RenamedWarning


def told_of_name(old: str, new: str, both: bool, stacklevel: int = 2) -> None:
    """Warn that the setting `old`, which was given, is now called `new`.

    Raises
    ------
    ConfigError
        If `both` are given.
    """
    if both:
        raise ConfigError(f"{old} is the old name of {new}, but both are given. Give only {new}.")
    warning = RenamedWarning(
        f"{old} is now called {new}; a later release will remove the old name."
    )
    warnings.warn(warning, stacklevel=stacklevel + 1)
