"""Batch EM: one pass over all rows, one M-step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emdist.fit.fit import Fit
from emdist.fit.state import FitState
from emdist.fit.turn import advanced, one_pass, turned
from emdist.interfaces import Model


@dataclass(frozen=True)
class Batch:
    """Dempster, Laird and Rubin 1977; for hard assignment Lloyd 1982."""

    @property
    def memory(self) -> type[None]:
        """Nothing is kept from step to step."""
        return type(None)

    def check(self, model: Model[Any]) -> None:
        """Serves every model."""

    def step(self, fit: Fit, state: FitState) -> FitState:
        """One pass and one M-step."""
        fit = turned(fit, state)
        return advanced(fit, state, *one_pass(fit, state))


schedule = Batch
