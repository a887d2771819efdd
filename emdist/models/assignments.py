"""From scores to sums: how rows are shared among components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Density, Floats
from emdist.kernels.assign import hard_labels, softmax


@dataclass(frozen=True)
class Share:
    """What one tile adds to the sums.

    Attributes
    ----------
    n
        (k,) weight given to each component.
    t
        (k, width) statistics given to each component.
    objective
        Weighted sum of the tile's log-likelihood, without the density's constant: nats.
    """

    n: Floats
    t: Array
    objective: float


class Assignment(Protocol):
    """How the scores of a tile become responsibilities."""

    @property
    def leaves_base_out(self) -> bool:
        """Whether `Share.objective` lacks the base that components share."""
        ...

    def share(
        self,
        density: Density,
        x: Array,
        t: Array,
        score: Array,
        log_weight: Array,
        w: Floats | None,
    ) -> Share:
        """Absorb one tile; `score` (k, m) includes the log-weights and may be overwritten."""
        ...

    def explain(
        self, density: Density, x: Array, score: Array, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        """Labels (m,) and log-likelihood (m,) without the constant; overwrites `score`."""
        ...


@dataclass(frozen=True)
class Soft:
    """Responsibilities: EM."""

    leaves_base_out: bool = True

    def share(
        self,
        density: Density,
        x: Array,
        t: Array,
        score: Array,
        log_weight: Array,
        w: Floats | None,
    ) -> Share:
        log_likelihood = softmax(score)
        if w is not None:
            log_likelihood *= w
            score *= w
        n = score.sum(axis=1, dtype=np.float64)
        return Share(n, density.gather(x, t, score), float(log_likelihood.sum()))

    def explain(
        self, density: Density, x: Array, score: Array, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        labels, _ = hard_labels(score)
        return labels, softmax(score) + density.base(x)


@dataclass(frozen=True)
class Hard:
    """The best component takes the whole row: classification EM, and K-means."""

    leaves_base_out: bool = False

    def share(
        self,
        density: Density,
        x: Array,
        t: Array,
        score: Array,
        log_weight: Array,
        w: Floats | None,
    ) -> Share:
        labels, value = self.explain(density, x, score, log_weight)
        n, sums = density.scatter(x, t, labels, w)
        return Share(n, sums, float(value.sum() if w is None else value @ w))

    def explain(
        self, density: Density, x: Array, score: Array, log_weight: Array
    ) -> tuple[NDArray[np.int32], Floats]:
        labels, best = hard_labels(score)
        own = log_weight[labels]
        return labels, density.explain(x, best - own, labels) + own


ASSIGNMENTS: dict[str, Assignment] = {"soft": Soft(), "hard": Hard()}
