"""Completion: fills missing values with their expectation, given the observed values of a row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.components import IncompleteFamily
from emdist.fit.assigned import assigned
from emdist.interfaces import Block, Floats, Numerics, Source
from emdist.kernels.tiles.tiles import shifted, tiles
from emdist.models.mixture import Mixture
from emdist.prepare.preparation import Preparation

#: How many rows have their responsibilities in memory at a time.
_STRETCH = 8192


@dataclass(frozen=True)
class Completed:
    """Consecutive rows without NaN, in memory; adds by joining.

    Attributes
    ----------
    x
        (m, d) float64.
    variance
        (m, d) the variance of filled values, 0 elsewhere; None if it was not requested.
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
    """Complete all rows of one block, whatever the policy for NaN.

    Attributes
    ----------
    source
        The rows, before they are prepared.
    model, params, origin, numerics
        The model, of prepared rows.
    preparation
        How rows are prepared, value by value; None if they are not.
    variance
        Whether to compute variances.
    """

    source: Source
    model: Mixture[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    preparation: Preparation | None = None
    variance: bool = False

    def __call__(self, i: int) -> Completed:
        block = replace(self.source.read(i), mask=None)
        out = block.x.astype(np.float64)
        made = self.preparation
        scale = None
        if made is not None:
            block = replace(block, x=made(block))
            scale = made.scale
        spread = np.zeros(out.shape) if self.variance else None
        for a, b in tiles(len(out), _STRETCH):
            found, variance = self._filled(block, a, b)
            found = found + self.origin
            missing = np.isnan(out[a:b])
            # Observed values keep their bits, whatever the origin.
            out[a:b] = np.where(
                missing, found if made is None else made.moved_back(found), out[a:b]
            )
            if spread is not None and variance is not None:
                spread[a:b] = variance if scale is None else variance / scale**2
        return Completed(out, spread)

    def _filled(self, block: Block, a: int, b: int) -> tuple[Floats, Floats | None]:
        """Return rows a..b of a block completed, relative to the origin, and the variance."""
        part = Block(block.index, block.start + a, block.x[a:b])
        known = self.model.with_missing()
        found = assigned(known, part, self.params, self.origin, self.numerics, resp=True)
        assert found.resp is not None
        family: IncompleteFamily[Any] = known.family  # type: ignore[assignment]
        x = shifted(part.x, self.origin, "float64")
        return family.fill(self.params.components, x, found.resp.T, self.variance)
