"""Measure the first fit of a new process, including imports and compilation."""

from __future__ import annotations

import itertools
import os
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
