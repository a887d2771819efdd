"""Kill a job at the n-th step of its changes to the file system, for many n; finish; compare.

``python kill_points.py CONFIG COUNT SEED``: COUNT points spread over the job and a few of its
first, 0 for all. Each
child is a fork of this process, which has everything imported and nothing begun. A child kills
itself with SIGKILL in an audit hook, so no Python code of any kind runs afterwards. Prints JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from emdist import GaussianMixture, KMeans
from emdist.engines.threads import LocalEngine
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.killable_jobs import result

#: Audit events of calls that change the file system.
CHANGES = (
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.truncate",
    "shutil.rmtree",
)


def job(values: dict[str, Any], at: int, counter: Path) -> None:
    """Run the job; die at step `at` of the changes to its folder. Writes how many there were.

    Every change has two steps: before it, and, where it opens a file to write, just after that
    with nothing written yet.
    """
    folder = values["run"]["folder"]
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event not in CHANGES:
            return
        if not str(arguments[0]).startswith(folder):
            return
        count += 2
        if at not in (count - 1, count):
            return
        if event == "open" and at == count:
            count = -1 << 60  # the hook sees its own opening, too
            os.open(arguments[0], arguments[2], 0o666)
        os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    with open_job(make_config(values)) as opened:
        if isinstance(opened, Job):
            opened.complete()
    counter.write_text(str(count))


def run(values: dict[str, Any], at: int, counter: Path) -> int:
    """Exit code of a child that dies at step `at` (0: never); -9 if it did."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job(values, at, counter)
            code = 0
        except BaseException as error:  # noqa: BLE001  the parent compares the exit code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def keyed(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {**values, "run": {**values["run"], "key": key}}


def main() -> None:
    """Find out how many changes there are, kill before each of some, and say what went wrong."""
    # Kernels are loaded once, here: a fork has them. No array is opened, so no thread begins.
    one = LocalEngine(1)
    for model in (KMeans(2, engine=one), GaussianMixture(2, engine=one)):
        model.fit(np.arange(80.0).reshape(40, 2) % 7)
    values = yaml.safe_load(Path(sys.argv[1]).read_text())
    wanted_points, rng = int(sys.argv[2]), random.Random(int(sys.argv[3]))
    runs = Path(values["run"]["folder"])
    counter = runs.parent / "count"
    assert run(keyed(values, "wanted"), 0, counter) == 0
    wanted, changes = result(runs / "wanted"), int(counter.read_text())
    points = list(range(1, changes + 1))
    if wanted_points:
        step = changes / wanted_points
        spread = {1 + int(step * (i + rng.random())) for i in range(wanted_points)}
        # The first files, of which there is one each: the run's record and its owner.
        points = sorted(spread | {2, 4, 6, 8})
    wrong, kills = [], 0
    for at in points:
        values_here = keyed(values, f"at-{at}")
        # A second time in a row for some: a resumed job is killed as well.
        deaths = [
            run(values_here, n, counter) for n in (at, rng.randrange(1, changes))[: 1 + at % 2]
        ]
        kills += deaths.count(-signal.SIGKILL)
        code = run(values_here, 0, counter)
        if code or deaths[0] not in (0, -signal.SIGKILL) or result(runs / f"at-{at}") != wanted:
            wrong.append({"at": at, "deaths": deaths, "code": code})
    print(json.dumps({"changes": changes, "kills": kills, "wrong": wrong}))


if __name__ == "__main__":
    main()
