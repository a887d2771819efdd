"""Measure one pass of K-means alone: no survey, no labels, no second pass from the cache."""

from __future__ import annotations

from benchmarks.comparison.contenders.counted import first_means, fits
from benchmarks.comparison.files import nbytes
from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.composition.caching import ahead_source
from emdist.composition.make import make_source
from emdist.engines.threads import LocalEngine
from emdist.fit.passes import EStep
from emdist.interfaces import Source
from emdist.settings.config import DataSection, FitSection, ModelSection

NEEDS = ("emdist",)


def pass_over(work: Work, source: Source) -> Turn:
    """Return a turn that makes an E-step over all blocks of `source`, from the workload's start."""
    k = len(work.start())
    models, given = [ModelSection(n_components=k)], first_means(work, k)
    (fit,) = fits(source, models, FitSection(), [given])
    params = given.over(None, fit.model, fit.survey.spread)
    task = EStep(source, fit.model, params, fit.origin, fit.numerics(params))
    fit.map_reduce("pass", task)  # Compiles the kernels and opens the files.

    return lambda: Outcome(timed(lambda: fit.map_reduce("pass", task))[0])


def disk_pass(work: Work) -> Turn:
    """Measure a pass from Zarr."""
    path = work.files["x"]
    source = ahead_source(make_source(DataSection(path=str(path))), LocalEngine())
    turn, size = pass_over(work, source), nbytes(path)

    def told() -> Outcome:
        seconds = turn().value
        return Outcome(seconds, {"GB/s": size / seconds / 1e9})

    return told
