"""Settings that have another name now."""

from __future__ import annotations

import warnings

from emdist.errors import ConfigError, RenamedWarning


def told_of_name(old: str, new: str, both: bool, stacklevel: int = 2) -> None:
    """Warn that the setting `old`, which is given, is called `new` now.

    Raises
    ------
    ConfigError
        If `both` are given.
    """
    if both:
        raise ConfigError(f"{old} is the old name of {new}, and both are given. Give {new} alone.")
    warning = RenamedWarning(f"{old} is called {new} now; the old name will go.")
    warnings.warn(warning, stacklevel=stacklevel + 1)
