"""The listener of a fit in Python: passes warnings on, and prints iterations if `verbose`."""

from __future__ import annotations

import warnings
from typing import Any

from emdist.fit.events import Caching, Event, Iterated, Listener, Pruning, Warned
from emdist.report.lines import say
from emdist.wording import worded


def listener(verbose: Any) -> Listener:
    """Return a function that passes warnings on, and prints each iteration if `verbose`."""
    return _say if verbose else _warn


def _warn(event: Event) -> None:
    if isinstance(event, Warned):
        warnings.warn(worded(event.message, "parameters"), RuntimeWarning, stacklevel=2)


def _say(event: Event) -> None:
    _warn(event)
    if isinstance(event, Caching):
        say(worded(str(event), "parameters"))
    if isinstance(event, Pruning):
        say(
            f"read {event.read} of {event.blocks} blocks, "
            f"scored {event.scored} of {event.rows} rows"
        )
    if isinstance(event, Iterated):
        record = event.record
        of = f"{event.fit}, " if event.fit else ""
        say(
            f"{of}restart {record.restart + 1}, iteration {record.iteration}: objective "
            f"{record.objective:.8g}, change {record.change:.3g}"
        )
