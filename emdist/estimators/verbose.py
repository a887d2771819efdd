"""The listener of a fit in Python: passes warnings on, and prints iterations if `verbose`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from emdist import fit, report
from emdist.wording import worded

if TYPE_CHECKING:
    from emdist.fit.events import Event, Listener


def listener(verbose: Any) -> Listener:
    """Return a function that passes warnings on, and prints each iteration if `verbose`."""
    return _say if verbose else _warn


def _warn(event: Event) -> None:
    if isinstance(event, fit.events.Warned):
        warnings.warn(worded(event.message, "parameters"), RuntimeWarning, stacklevel=2)


def _say(event: Event) -> None:
    _warn(event)
    if isinstance(event, fit.events.Caching):
        report.lines.say(worded(str(event), "parameters"))
    if isinstance(event, fit.events.Pruning):
        report.lines.say(
            f"read {event.read} of {event.blocks} blocks, "
            f"scored {event.scored} of {event.rows} rows"
        )
    if isinstance(event, fit.events.Iterated):
        record = event.record
        of = f"{event.fit}, " if event.fit else ""
        report.lines.say(
            f"{of}restart {record.restart + 1}, iteration {record.iteration}: objective "
            f"{record.objective:.8g}, change {record.change:.3g}"
        )
