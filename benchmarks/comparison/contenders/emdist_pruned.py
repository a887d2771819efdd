"""emdist's fastest exact K-means: the schedule pruned, or plain Lloyd in versions without it.

Only this module and `workloads.convergence` use the name of the schedule.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.comparison.contenders import emdist
from benchmarks.comparison.workload import Turn, Work
from emdist.inputs.plugins import plugins
from emdist.settings.config import SCHEDULES

NEEDS = ("emdist",)


def kmeans_fit(work: Work) -> Turn:
    """Measure a whole fit until no label changes, and its labels."""
    if "pruned" not in plugins(SCHEDULES, "schedule"):
        return emdist.kmeans_fit(work)
    return emdist.kmeans_fit(replace(work, options={**work.options, "schedule": "pruned"}))
