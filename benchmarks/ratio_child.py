"""One turn of a row of `benchmarks.ratio`: ``python -P ratio_child.py JOB ANSWER``, both files.

It runs in an environment that has emdist and none of the benchmarks, so it imports nothing of
theirs; and of emdist only what users have: the command ``emdist`` as installed, and estimators.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any


def command(line: list[str]) -> None:
    """``emdist`` with these words, in this process; SystemExit if it fails."""
    scripts = distribution("emdist").entry_points.select(group="console_scripts", name="emdist")
    (entry,) = scripts
    sys.argv = ["emdist", *line]
    try:
        entry.load()()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise SystemExit(f"emdist {' '.join(line)}: exit code {end.code}") from end


def imported(module: str, names: list[str]) -> None:
    """The module, and the names that are taken from it."""
    found = importlib.import_module(module)
    for name in names:
        getattr(found, name)


def ready(step: Mapping[str, Any]) -> Callable[[], object]:
    """What the step does, with all loaded that is no part of it."""
    if "command" in step:
        return lambda: command(step["command"])
    if "import" in step:
        return lambda: imported(step["import"], step["names"])
    import numpy as np

    x = np.load(step["x"])
    made = getattr(importlib.import_module("emdist"), step["estimator"])
    return lambda: made(**step["parameters"]).fit(x)


def taken(job: Mapping[str, Any]) -> float:
    """Seconds of the steps ``work``, after those of ``warm``."""
    for step in job["warm"]:
        ready(step)()
    calls = [ready(step) for step in job["work"]]
    began = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - began


def main() -> None:
    """Take the turn and write its seconds."""
    job, answer = map(Path, sys.argv[1:])
    seconds = taken(json.loads(job.read_text()))
    answer.write_text(json.dumps({"work": seconds}))


if __name__ == "__main__":
    main()
