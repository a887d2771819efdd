"""Whole runs, labels included, under conditions that must not matter: engines and kills."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zarr

from emdist.engines.clusters.local import Local
from emdist.fit.events import Event, Iterated, Progress, Saved
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.fitting import CENTRES, Setting, draw
from tests.support.golden import CASES

#: Section ``cluster`` by name: threads here, or workers in processes of their own.
THREADS = {f"{n} thread(s)": {"kind": "threads", "threads": n} for n in (1, 2, 4)}
WORKERS = (1, 2, 3)

#: When a process is killed.
MOMENTS: dict[str, Callable[[Event], bool]] = {
    "surveying": lambda e: isinstance(e, Progress) and e.what == "survey" and e.done >= 2,
    "iterating": lambda e: isinstance(e, Iterated) and e.record.iteration == 2,
    "saved": lambda e: isinstance(e, Saved),
    "labelling": lambda e: isinstance(e, Progress) and e.what == "label" and e.done >= 2,
}


def stored(case: str, folder: Path) -> Path:
    """The rows of a case, in ten chunks."""
    name, _ = CASES[case]
    x = draw("full" if name in CENTRES else name, 300, 3, 3)[0]
    path = folder / f"{case}.zarr"
    array = zarr.create_array(path, shape=x.shape, chunks=(30, x.shape[1]), dtype=x.dtype)
    array[:] = x
    return path


def configuration(case: str, data: Path, key: str, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """A run of a case: six iterations, a checkpoint after each."""
    name, schedule = CASES[case]
    array = zarr.open_array(data, mode="r")
    section = Setting(name, 3).model_section_for(array.shape[1])
    block = 30 * array.shape[1] * array.dtype.itemsize
    return {
        "data": {"path": str(data), "block_size": f"{block} B"},
        "model": section.model_dump(),
        "fit": {"max_iter": 6, "tol": 0.0, "schedule": schedule, "seed": 3},
        "cluster": dict(cluster),
        "run": {"folder": str(data.parent / "runs"), "key": key, "checkpoint_iterations": 1},
        "labels": {"outputs": ["labels", "score", "responsibilities"]},
    }  # fmt: skip


def complete(values: Mapping[str, Any], listen: Callable[[Event], None] = lambda e: None) -> str:
    """Start the run, or go on with it; the digest of its model and of all label files."""
    with open_job(make_config(values), listen=listen) as job:
        assert isinstance(job, Job)
        job.complete()
    return digest(Path(values["run"]["folder"], values["run"]["key"]))


def digest(run: Path) -> str:
    """Of all bytes that a user could compare."""
    files = [run / "final/model.safetensors"]
    files += sorted(p for p in (run / "labels.zarr").rglob("*") if p.is_file() and "c" in p.parts)
    assert len(files) > 4 * 10
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(run)}:".encode() + file.read_bytes())
    return found.hexdigest()


def _until(values: Mapping[str, Any], moment: str) -> None:
    def listen(event: Event) -> None:
        if MOMENTS[moment](event):
            os.kill(os.getpid(), signal.SIGKILL)

    complete(values, listen)


def killed(values: Mapping[str, Any], moment: str) -> None:
    """Start the run in a process that is killed at a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conditions"])
    process = context.Process(target=_until, args=(values, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, (moment, process.exitcode)


@contextlib.contextmanager
def clusters(numbers: tuple[int, ...]) -> Iterator[dict[str, dict[str, Any]]]:
    """Section ``cluster`` by name, of schedulers with so many workers that outlive the drivers."""
    with contextlib.ExitStack() as stack:
        found = {}
        for n in numbers:
            client = stack.enter_context(Local(n_workers=n, memory_limit="0").open())
            client.wait_for_workers(n)
            address = client.scheduler_info()["address"]
            found[f"{n} worker(s)"] = {"kind": "address", "address": address}
        yield found
