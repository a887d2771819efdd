"""Compare the formulas with passes that this machine can make."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scaling.calibration import parameters, source_of, write
from benchmarks.scaling.formulas import cpu_seconds, predict
from benchmarks.scaling.on_dask import two_workers
from benchmarks.scaling.quantities import MODELS, Cluster, Job, Machine, ModelShape, Times
from benchmarks.scaling.simulation import simulate
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.threads import LocalEngine, available_cpus
from emdist.fit.passes import EStep
from emdist.interfaces import Engine, Source

BLOCK = 16 << 20


@dataclass(frozen=True)
class Checked:
    """One row: seconds predicted by formulas and by simulation, and measured seconds.

    CPU seconds are those of all processes together. They do not depend on other work of the
    machine.
    """

    where: str
    what: str
    formula: float
    simulated: float
    measured: float
    predicted_cpu: float
    cpu: float

    @property
    def error(self) -> float:
        """Error of the formula, relative to the measured seconds."""
        return self.formula / self.measured - 1

    @property
    def cpu_error(self) -> float:
        """Error of the formula for CPU seconds, relative to the measured ones."""
        return self.predicted_cpu / self.cpu - 1


def here(machine: Machine, workers: int, threads: int) -> Cluster:
    """Describe this machine as a cluster. Storage is the page cache, whose copying is in `plain`.

    The latency of transfers is part of `first`, which was measured on whole passes.
    """
    far = 1e15
    return Cluster(workers, threads, 0.0, machine.move, far, far, 0.0, keeps=False)


def threaded(machine: Machine) -> Machine:
    """Return the constants without the costs of a Dask scheduler, for an engine on threads."""
    return Machine(**{**machine.__dict__, "first": 0.0, "graph": 0.0, "task": 0.0, "leaf": 0.0})


def check(
    machine: Machine, say: Callable[[str], None], megabytes: int = 256, few: bool = False
) -> list[Checked]:
    """Predict and measure passes of some models, on threads and on two Dask workers."""
    shapes = [shape for shape in MODELS if shape.d == 32][: 1 if few else None]
    found: list[Checked] = []
    with tempfile.TemporaryDirectory(prefix="emdist-scaling-") as name:
        for packed in (False, True):
            path = Path(name) / ("packed" if packed else "plain")
            stored = write(path, megabytes, 32, packed)
            source = source_of(path, BLOCK)
            threads = available_cpus()
            say(f"threads, {path.name}")
            cluster, alone = here(machine, 1, threads), threaded(machine)
            where = f"{threads} threads, {path.name}"
            engine = LocalEngine(threads)
            found += _rows(where, shapes, source, engine, stored, cluster, alone)
            say(f"two workers, {path.name}")
            with two_workers() as dask:
                cluster = here(machine, 2, 1)
                where = f"Dask 2 x 1, {path.name}"
                found += _rows(where, shapes, source, dask, stored, cluster, machine)
    return found


def _rows(
    where: str,
    shapes: Sequence[ModelShape],
    source: Source,
    engine: Engine,
    stored: float,
    cluster: Cluster,
    machine: Machine,
) -> list[Checked]:
    found = []
    nbytes, blocks = source.shape[0] * source.shape[1] * 4, range(len(source))
    for shape in shapes:
        model, params, numerics = parameters(shape)
        task = EStep(source, model, params, np.zeros(shape.d), numerics)
        job = Job(shape, nbytes, nbytes / len(source), stored=min(stored, 1.0))
        times = Times(job, cluster, machine)
        engine.map_reduce(task, blocks)
        measured, cpu = _least(partial(engine.map_reduce, task, blocks), engine)
        measured += times.compute.update
        formula = predict(times)
        found.append(
            Checked(
                where,
                shape.name,
                formula.seconds - formula.checkpoint,
                simulate(times).seconds,
                measured,
                cpu_seconds(times),
                cpu + times.compute.update,
            )
        )
    return found


def _least(work: Callable[[], Any], engine: Engine, repeats: int = 5) -> tuple[float, float]:
    """Measure the fewest seconds of wall time, and of CPU of this process and the workers."""
    found = []
    for _ in range(repeats):
        began, cpu = time.perf_counter(), _cpu(engine)
        work()
        found.append((time.perf_counter() - began, _cpu(engine) - cpu))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def _cpu(engine: Engine) -> float:
    spent = time.process_time()
    if isinstance(engine, DaskEngine):
        spent += sum(engine.client.run(time.process_time).values())
    return spent
