"""Passes of fitted hidden Markov models: filtered posteriors, and probabilities of best paths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.fit.fitted import Fitted, RowValues
from emdist.fit.observed import observed_source
from emdist.fit.passes import EStep
from emdist.interfaces import Engine, Floats, Numerics, Source
from emdist.models.hidden_markov import HiddenMarkov


@dataclass(frozen=True)
class Filtered:
    """Task that returns the filtered posteriors of the rows of one block that are not left out."""

    source: Source
    model: HiddenMarkov[Any]
    params: Any
    origin: Floats
    numerics: Numerics

    @classmethod
    def of(
        cls, model: HiddenMarkov[Any], fitted: Fitted, source: Source, engine: Engine
    ) -> Filtered:
        """Return the task for the rows of `source`."""
        numerics = model.shown(fitted.params, fitted.numerics(model, source.dtype))
        params = fitted.linked(model, source, engine)
        return cls(source, model, params, fitted.spread.origin, numerics)

    def __call__(self, i: int) -> RowValues:
        block = self.source.read(i)
        found = self.model.filtered(block, self.params, self.origin, self.numerics)
        return RowValues(found if block.mask is None else found[block.mask])


def path_probability(
    model: HiddenMarkov[Any], fitted: Fitted, source: Source, engine: Engine
) -> float:
    """Return the joint log-probability, in nats, of all rows and their most probable paths."""
    hard = replace(model, hard=True)
    seen = observed_source(source, hard)
    numerics = hard.shown(fitted.params, fitted.numerics(hard, source.dtype))
    params = fitted.linked(hard, seen, engine)
    task = EStep(seen, hard, params, fitted.spread.origin, numerics, True)
    sums = engine.map_reduce(task, range(len(source)))
    weight = float(sums["weight"])
    if not weight:
        return float(np.asarray(sums["objective"]))
    found = hard.objective(sums, params, numerics) * weight
    return found - hard.log_prior(params)
