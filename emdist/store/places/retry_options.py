"""Retry options: settings of how often and how soon obstore repeats a request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from emdist.errors import ConfigError

#: The options of obstore's retries: a count, then times in seconds. The last two set its backoff.
RETRY_OPTIONS = ("max_retries", "retry_timeout", "init_backoff", "max_backoff")
_FIRST, _LONGEST = timedelta(milliseconds=100), timedelta(seconds=15)


def retries(options: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return obstore's retry_config. Raise ConfigError for an option that is no valid number."""
    found: dict[str, Any] = {}
    for key, value in options:
        if key not in RETRY_OPTIONS:
            continue
        try:
            number = int(value) if key == "max_retries" else float(value)
        except ValueError:
            number = -1
        if not 0 <= number < 1e6:
            wanted = "a whole number" if key == "max_retries" else "a number of seconds"
            raise ConfigError(
                f"the storage option {key} is {value!r}; expected {wanted}, 0 or more."
            )
        found[key] = number if key == "max_retries" else timedelta(seconds=number)
    # If only some values are given, obstore forgets its other defaults, so they are repeated here.
    backoff = {key: found.pop(key) for key in RETRY_OPTIONS[2:] if key in found}
    if backoff:
        found["backoff"] = {"init_backoff": _FIRST, "max_backoff": _LONGEST, "base": 2} | backoff
    if found:
        found = {"max_retries": 10, "retry_timeout": timedelta(seconds=180)} | found
    return found
