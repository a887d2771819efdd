"""How separate the clusters of several models are, for sweeps: two more reads for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emdist.fit.events import Listener, Progress
from emdist.fit.fit import Fit
from emdist.fit.observed import bare, instead
from emdist.fit.state import FitState
from emdist.fit.together.bundle import Bundle, BundleResults, OneRead
from emdist.quality.clusters import ClusterMoments, ClusterStep, davies_bouldin
from emdist.quality.labels import ModelLabelling
from emdist.quality.silhouettes import Silhouettes, SilhouetteStep


@dataclass(frozen=True)
class Separation:
    """How separate the clusters of one model are.

    Attributes
    ----------
    silhouette
        The mean silhouette for squared Euclidean distances; NaN if all rows have one label.
    davies_bouldin
        The Davies-Bouldin index; NaN likewise.
    """

    silhouette: float = math.nan
    davies_bouldin: float = math.nan


def separated_together(
    fits: Sequence[Fit], states: Sequence[FitState], listen: Listener
) -> list[Separation]:
    """Return how separate the clusters of the best restart of each finished fit are."""
    source = OneRead(bare(fits[0].source))
    labellings = []
    for fit, state in zip(fits, states, strict=True):
        assert state.best is not None
        params = state.best.params
        labellings.append(ModelLabelling(fit.model, params, fit.origin, fit.numerics(params)))
    sources = [instead(fit.source, source) for fit in fits]
    each = list(zip(sources, labellings, strict=True))
    clusters = _made(fits[0], source, [ClusterStep(*one) for one in each], listen)
    some = [n for n, one in enumerate(clusters) if _comparable(one)]
    found = [Separation()] * len(fits)
    if not some:
        return found
    tasks = [SilhouetteStep(*each[n], clusters[n]) for n in some]
    for n, sums in zip(some, _made(fits[0], source, tasks, listen), strict=True):
        value = Silhouettes(clusters[n], sums["sums"], sums["counts"]).mean
        found[n] = Separation(value, davies_bouldin(clusters[n], sums["away"]))
    return found


def _comparable(found: ClusterMoments) -> bool:
    return 1 < len(found.labels) < found.rows


def _made(fit: Fit, source: OneRead, tasks: Sequence[Any], listen: Listener) -> tuple[Any, ...]:
    """Return the results of tasks that share the reads of one pass."""
    total = len(source)
    found: BundleResults = fit.engine.map_reduce(
        Bundle(source, tuple(tasks)),
        range(total),
        lambda done: listen(Progress("score", done, total)),
    )
    return found.parts
