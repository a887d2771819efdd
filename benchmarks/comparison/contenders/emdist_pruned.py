"""emdist's fastest exact K-means: pruned where it has that schedule, plain Lloyd until then.

The adapter: the name of the schedule stands here and in `workloads.convergence` alone.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.comparison.contenders import emdist
from benchmarks.comparison.workload import Turn, Work
from emdist.inputs.plugins import plugins
from emdist.settings.config import SCHEDULES

NEEDS = ("emdist",)


def kmeans_fit(work: Work) -> Turn:
    """A whole fit to labels that no longer change, labels included."""
    if "pruned" not in plugins(SCHEDULES, "schedule"):
        return emdist.kmeans_fit(work)
    return emdist.kmeans_fit(replace(work, options={**work.options, "schedule": "pruned"}))
