"""Completion: what is missing of a row, expected given what was observed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.fit.survey import check_block
from emdist.interfaces import Floats, Numerics, Source
from emdist.models.mixture import Mixture


@dataclass(frozen=True)
class Completed:
    """Consecutive rows without NaN, in memory; adds by joining.

    Attributes
    ----------
    x
        (m, d) float64.
    variance
        (m, d) of what was filled in, 0 elsewhere; None if it was not asked for.
    """

    x: Floats
    variance: Floats | None

    def __add__(self, other: Completed) -> Completed:
        variance = None
        if self.variance is not None and other.variance is not None:
            variance = np.concatenate([self.variance, other.variance])
        return Completed(np.concatenate([self.x, other.x]), variance)


@dataclass(frozen=True)
class Complete:
    """One block completed, all its rows, whatever the policy for NaN."""

    source: Source
    model: Mixture[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    variance: bool = False

    def __call__(self, i: int) -> Completed:
        block = replace(self.source.read(i), mask=None)
        check_block(block, self.model.domain, missing=True)
        return Completed(
            *self.model.fill(block, self.params, self.origin, self.numerics, self.variance)
        )
