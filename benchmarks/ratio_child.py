"""Run one turn of a row of `benchmarks.ratio`: ``python -P ratio_child.py JOB ANSWER``, two files.

It runs in an environment with emdist and without the benchmarks, so it imports none of them. Of
emdist it uses only what users use: the installed command ``emdist``, and estimators.
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
    """Run ``emdist`` with these arguments in this process; SystemExit if it fails."""
    scripts = distribution("emdist").entry_points.select(group="console_scripts", name="emdist")
    (entry,) = scripts
    sys.argv = ["emdist", *line]
    try:
        entry.load()()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise SystemExit(f"emdist {' '.join(line)}: exit code {end.code}") from end


def imported(module: str, names: list[str]) -> None:
    """Import the module, and access the names that are taken from it."""
    found = importlib.import_module(module)
    for name in names:
        getattr(found, name)


def ready(step: Mapping[str, Any]) -> Callable[[], object]:
    """Return a function that does the step, after loading all that is not part of the step."""
    if "command" in step:
        return lambda: command(step["command"])
    if "import" in step:
        return lambda: imported(step["import"], step["names"])
    import numpy as np

    x = np.load(step["x"])
    made = getattr(importlib.import_module("emdist"), step["estimator"])
    return lambda: made(**step["parameters"]).fit(x)


def taken(job: Mapping[str, Any]) -> float:
    """Return the seconds of the steps ``work``, after doing those of ``warm``."""
    for step in job["warm"]:
        ready(step)()
    calls = [ready(step) for step in job["work"]]
    began = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - began


def main() -> None:
    """Do the turn and write its seconds."""
    job, answer = map(Path, sys.argv[1:])
    seconds = taken(json.loads(job.read_text()))
    answer.write_text(json.dumps({"work": seconds}))


if __name__ == "__main__":
    main()
