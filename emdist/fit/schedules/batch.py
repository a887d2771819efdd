"""Batch EM, the ordinary schedule: each iteration is one pass over all rows and one M-step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emdist.fit.fit import Fit
from emdist.fit.iteration import advanced, at_iteration, one_pass
from emdist.fit.state import FitState
from emdist.interfaces import Model


@dataclass(frozen=True)
class Batch:
    """Batch EM (Dempster, Laird and Rubin 1977); with hard assignment, Lloyd's algorithm (1982)."""

    @property
    def memory(self) -> type[None]:
        """The type of None: nothing is kept from step to step."""
        return type(None)

    def check(self, model: Model[Any]) -> None:
        """Accept every model."""

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make one pass and one M-step."""
        fit = at_iteration(fit, state)
        return advanced(fit, state, *one_pass(fit, state))


schedule = Batch
