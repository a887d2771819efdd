"""Estimates of how long a fit or a pass still takes, for displays, from progress so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from emdist.fit.events import Iterated, Planned, Progress

#: What progress counts if not blocks. The last entry may take fewer iterations than `total`.
_UNITS = {
    "seeding": "{total} centres",
    "comparing neighbours": "{total} parts",
    "drawing candidates": "{total} blocks",
    "clustering the sample": "at most {total} iterations",
}
#: Short name of a pass in events -> name that is shown.
_PASSES = {
    "start": "first M-step",
    "inertia": "inertia of the result",
    "objective": "objective of the result",
    "worst rows": "rows for reseeding",
}
#: Number of latest iterations whose mean time predicts the next ones.
_RECENT = 5


def duration(seconds: float) -> str:
    """Format seconds as ``12 ms``, ``3.2 s``, ``4 min 10 s`` or ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "?"
    if 0.0005 <= seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def iterations_left(values: list[float], tol: float, left: int) -> int:
    """Estimate how many iterations are left until `values`, falling geometrically, reach `tol`.

    `values` are the latest sizes of what is compared with `tol`. `left` is how many iterations
    max_iter still allows, which the estimate never exceeds.
    """
    sizes = [abs(v) for v in values[-6:] if math.isfinite(v) and v != 0]
    if len(sizes) < 3 or tol <= 0 or sizes[-1] >= sizes[0]:
        return left
    rate = math.log(sizes[0] / sizes[-1]) / (len(sizes) - 1)
    return min(left, max(1, math.ceil(math.log(max(sizes[-1] / tol, 1.0)) / rate)))


@dataclass
class Outlook:
    """Estimates what is left of a fit, from the iterations of each restart so far."""

    planned: Planned | None = None
    #: The first iteration of this process: it may include the compilation of kernels.
    _first: Iterated | None = None
    _restarts: dict[int, list[Iterated]] = field(default_factory=dict)

    @property
    def restarts(self) -> int:
        """Number of restarts of the fit, or 1 if it is not known."""
        return 1 if self.planned is None else self.planned.restarts

    def iterated(self, event: Iterated) -> None:
        """Add one iteration."""
        self._first = self._first or event
        own = self._restarts.setdefault(event.record.restart, [])
        own.append(event)
        del own[:-16]

    def left(self, event: Iterated) -> str:
        """Return ``left about 10.0 s (5 iterations)``, after `event`; empty if unknown."""
        # Each model of a sweep needs its own number of iterations, so there is no one estimate.
        if self.planned is None or event.fit or event is self._first:
            return ""
        own = self._restarts.get(event.record.restart, [event])
        sizes = [r.shift if self.planned.on == "shift" else r.change for r in
                 (one.record for one in own)]  # fmt: skip
        allowed = self.planned.max_iter - event.record.iteration
        if allowed <= 0:
            return ""
        more = iterations_left(sizes, self.planned.tol, allowed)
        recent = [one.seconds for one in own[-_RECENT:] if one is not self._first]
        seconds = more * sum(recent) / len(recent)
        bound = "at most" if more == allowed else "about"
        iterations = "iteration" if more == 1 else "iterations"
        return f"left {bound} {duration(seconds)} ({more} {iterations})"


@dataclass
class PassOutlook:
    """Estimates what is left of the current pass, from the time since it began."""

    clock: Callable[[], float] = monotonic
    now: Progress | None = None
    _began: float = 0.0

    def progressed(self, event: Progress) -> None:
        """Add one step of the pass, or the first step of the next pass."""
        before = self.now
        if before is None or event.what != before.what or event.done < before.done:
            self._began = self.clock()
        self.now = event

    @property
    def name(self) -> str:
        """Name of the pass."""
        return "" if self.now is None else _PASSES.get(self.now.what, self.now.what)

    def so_far(self) -> str:
        """Return ``120 of 4,000 blocks (3 %), left 3 min 10 s``; empty for a pass of one step."""
        if self.now is None or self.now.total <= 1:
            return ""
        done, total = self.now.done, self.now.total
        count, left = _UNITS.get(self.now.what, "{total} blocks").format(total=f"{total:,}"), ""
        if 0 < done < total and not count.startswith("at most"):
            spent = self.clock() - self._began
            left = f" ({100 * done / total:.0f} %), left {duration(spent / done * (total - done))}"
        return f"{done:,} of {count}{left}"
