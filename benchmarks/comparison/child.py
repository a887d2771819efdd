"""Run one contender in its own process: it prepares, then takes a turn whenever it is asked.

`measuring` starts it. It reads lines from standard input and answers each with a line of JSON.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import select
import sys
import threading
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.comparison.workload import Absent, Turn, Work
from benchmarks.memory import forget_peak, peak_memory

CONTENDERS = "benchmarks.comparison.contenders"


def ready(job: dict[str, Any], stack: ExitStack) -> Turn:
    """Return the turn of the contender that `job` names; Absent if it cannot take part."""
    module = importlib.import_module(f"{CONTENDERS}.{job['module']}")
    missing = [name for name in module.NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise Absent(f"{', '.join(missing)} not installed")
    work = Work(
        {name: Path(path) for name, path in job["files"].items()},
        job["options"],
        Path(job["scratch"]),
        stack,
    )
    turn: Turn = getattr(module, job["task"])(work)
    return turn


def taken(turn: Turn, labels: Path) -> dict[str, Any]:
    """Take a turn and return its outcome as JSON values; labels are written to a file."""
    forget_peak()
    before = peak_memory()
    try:
        outcome = turn()
    except Absent as reason:
        return {"absent": str(reason)}
    peak = peak_memory() if outcome.peak is None else outcome.peak
    if outcome.labels is not None:
        np.save(labels, np.asarray(outcome.labels, np.int32))
    return {
        "value": outcome.value,
        "figures": dict(outcome.figures),
        "peak": peak,
        "extra": max(0, peak - before) if outcome.peak is None else None,
    }


def limited(cpus: int) -> None:
    """Limit this process, and all that it starts, to `cpus` processors."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])


def bound_to(parent: int) -> None:
    """End this process when the process `parent` ends, even in the middle of a turn."""
    closed = select.poll()
    closed.register(sys.stdin.fileno(), 0)  # poll() always reports that it was closed.
    closed.poll()
    while os.getppid() == parent:  # The parent gives this process time to close its cluster.
        time.sleep(0.1)
    os._exit(1)


def main() -> None:
    """Answer ``ready``, then answer every input line with an outcome, until the input ends."""
    # The output of peers must not mix with the answers, so it goes to standard error.
    answers: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=bound_to, args=(os.getppid(),), daemon=True).start()
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    limited(int(job["threads"]))
    warnings.simplefilter("ignore")

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    with ExitStack() as stack:
        try:
            turn = ready(job, stack)
        except Absent as reason:
            answer(absent=str(reason))
            return
        answer(ready=True)
        for _ in sys.stdin:
            answer(**taken(turn, Path(job["labels"])))


if __name__ == "__main__":
    main()
