"""Measure the first fit of a new process, including imports and compilation."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys

from benchmarks.comparison.workload import Outcome, Turn, Work, timed

NEEDS = ("emdist",)

_CODE = """
import sys, numpy, emdist
x, start = (numpy.load(path) for path in sys.argv[1:])
emdist.KMeans(len(start), init=start, max_iter=2, tol=0).fit(x)
emdist.GaussianMixture(2, max_iter=2, tol=0, random_state=0).fit(x)
"""


def first_fit(work: Work) -> Turn:
    """Measure K-means and a mixture, without cached compiled code (``cold``) or with it."""
    command = [sys.executable, "-W", "ignore", "-c", _CODE]
    command += [str(work.files["x"]), str(work.files["start"])]
    cold, rounds = bool(work.options["cold"]), itertools.count()

    def fit(cache: str) -> None:
        env = {**os.environ, "NUMBA_CACHE_DIR": str(work.scratch / cache)}
        subprocess.run(command, check=True, env=env, capture_output=True)

    if not cold:
        fit("warm")

    def turn() -> Outcome:
        return Outcome(timed(lambda: fit(f"cold-{next(rounds)}" if cold else "warm"))[0])

    return turn


_MODELS = {
    "kmeans": "emdist.KMeans(5, random_state=0)",
    "full": "emdist.GaussianMixture(5, covariance_type='full', random_state=0)",
}


def _processor_seconds(code: str, *arguments: str, cache: str | None = None) -> float:
    """Return the processor time of a new process that runs `code`."""
    env = dict(os.environ) if cache is None else {**os.environ, "NUMBA_CACHE_DIR": cache}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    subprocess.run(command, check=True, env=env, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_start(work: Work) -> Turn:
    """Measure the processor time that a fit takes more without cached kernels than with them."""
    model, rounds = _MODELS[work.options["model"]], itertools.count()
    code = f"import sys, numpy, emdist\n{model}.fit(numpy.load(sys.argv[1]))"

    def turn() -> Outcome:
        cache = str(work.scratch / f"start-{next(rounds)}")
        first, again = (_processor_seconds(code, str(work.files["x"]), cache=cache) for _ in "12")
        return Outcome(first - again)

    return turn


def import_time(work: Work) -> Turn:
    """Measure the seconds of a new process that imports K-means from `package`."""
    command = [sys.executable, "-c", f"from {work.options['package']} import KMeans"]

    def turn() -> Outcome:
        return Outcome(timed(lambda: subprocess.run(command, check=True))[0])

    return turn
