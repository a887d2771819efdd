"""Fits that are interrupted at random moments and go on, all in one process of their own.

``python interrupted_fit.py FOLDER SEED COUNT``: ends with code 0 once COUNT interrupts have met
fits on two threads, each of which was then begun again until it was done, with the bits of one
that nobody disturbed. What stands still ends the process with code 1 and says where.
"""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.chaos.faulted_run import Task
from tests.support.killable_jobs import PATIENCE, overlapping, result


class Interrupts:
    """Counts those that were heeded; has state for that."""

    def __init__(self) -> None:
        self.met = 0
        signal.signal(signal.SIGALRM, self._interrupt)

    def _interrupt(self, number: int, frame: object) -> NoReturn:
        self.met += 1
        raise KeyboardInterrupt


def completed(values: dict[str, Any]) -> None:
    """The job from its beginning, or from where it stopped, to its end."""
    with open_job(make_config(values)) as job:
        if isinstance(job, Job):
            job.complete()


def done(values: dict[str, Any], seconds: float, interrupts: Interrupts) -> bool:
    """Whether the job came to its end before an interrupt after so many `seconds`."""
    before = interrupts.met
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            completed(values)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException:
        # Not of what kind: a library that is interrupted within may fail in its own way.
        if interrupts.met == before:
            raise
        return False
    return True


def main(folder: str, seed: str, count: str) -> None:
    """The process."""
    os.chdir(folder)
    task, cluster = (
        Task(overlapping(Path("short.zarr")), "kmeans", 12),
        {"kind": "threads", "threads": 2},
    )
    wanted = Path("wanted")
    completed(task.configuration(Path(), wanted.name, cluster))
    interrupts, rng = Interrupts(), random.Random(seed)
    fits = 0
    while interrupts.met < int(count):
        name = f"fit-{fits}"
        values = task.configuration(Path(), name, cluster)
        while not done(values, rng.choice([0.02, 0.1, 0.4]) * rng.random(), interrupts):
            pass
        assert result(Path(name)) == result(wanted), name
        shutil.rmtree(name)
        fits += 1
    print(fits, interrupts.met)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # Python waits for threads at its end


if __name__ == "__main__":
    main(*sys.argv[1:])
