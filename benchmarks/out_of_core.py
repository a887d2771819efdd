"""Cluster an array larger than the memory of the Dask workers, generated block by block.

``python -m benchmarks.out_of_core --gb 8 --workers 2 --memory 1GB`` prints the peak memory of
every worker, measured by the kernel (VmHWM), beside its limit.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.memory import peak_memory
from emdist.engines.dask.engine import DaskEngine
from emdist.errors import EmdistError
from emdist.fit.events import Event, Iterated
from emdist.inputs.validation import parse_bytes
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import Config, make_config

FEATURES = 32
CLUSTERS = 16


@dataclass(frozen=True)
class Measured:
    """Memory, times and result of one run.

    Attributes
    ----------
    nbytes
        Size of the decoded array, in bytes.
    limit
        Memory limit of each worker, in bytes.
    driver
        Peak resident size of the driver, in bytes.
    peaks
        Address of each worker -> its peak resident size, in bytes.
    seconds
        Seconds of each stage.
    iterations, objective
        Number of iterations, and objective of the fit.
    passes
        Decoded bytes per second of each iteration.
    """

    nbytes: int
    limit: int
    driver: int
    peaks: Mapping[str, int]
    seconds: Mapping[str, float]
    iterations: int
    objective: float
    passes: tuple[float, ...]


def generate(path: Path, nbytes: int, chunk_bytes: int = 16 << 20, seed: int = 0) -> None:
    """Write about `nbytes` of Gaussian clusters, (n, 32) float32, one chunk at a time."""
    chunk = chunk_bytes // (4 * FEATURES)
    rows = max(1, nbytes // (4 * FEATURES * chunk)) * chunk
    array = zarr.create_array(
        path, shape=(rows, FEATURES), chunks=(chunk, FEATURES), dtype="float32", compressors=None
    )
    centres = np.random.default_rng([seed, 0]).normal(scale=3.0, size=(CLUSTERS, FEATURES))
    for at in range(0, rows, chunk):
        rng = np.random.default_rng([seed, 1, at])
        x = rng.standard_normal((chunk, FEATURES), dtype=np.float32)
        x += centres.astype(np.float32)[rng.integers(CLUSTERS, size=chunk)]
        array[at : at + chunk] = x


def configure(
    path: Path, runs: Path, workers: int, memory: str, model: str, block_size: str | None
) -> Config:
    """Make the configuration: K-means or a mixture on `workers` local Dask workers."""
    return make_config(
        {
            "data": {"path": str(path), "block_size": block_size},
            "model": {"name": model, "n_components": CLUSTERS},
            "fit": {"max_iter": 20},
            "cluster": {"kind": "local", "n_workers": workers, "memory_limit": memory},
            "run": {"folder": str(runs), "key": f"{path.stem}-{model}"},
        }
    )


def measure(config: Config) -> Measured:
    """Run the job of `config` from start to end, and read every process's peak memory."""
    passes: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Iterated):
            passes.append(event.nbytes / event.seconds)

    with open_job(config, listen=listen) as job:
        if not isinstance(job, Job):
            raise EmdistError(f"the run is done already; remove {job['run']} to measure again")
        summary = job.complete()
        engine = job.run.plan.engine
        assert isinstance(engine, DaskEngine)
        peaks: dict[str, int] = engine.client.run(peak_memory)
        limit = min(w["memory_limit"] for w in _workers(engine))
    result = summary.result
    return Measured(
        int(summary.data["bytes"]),
        int(limit),
        peak_memory(),
        peaks,
        summary.seconds,
        int(result["iterations"]),
        float(result["objective"]),
        tuple(passes),
    )


def _workers(engine: DaskEngine) -> list[dict[str, Any]]:
    return list(engine.client.scheduler_info(n_workers=-1)["workers"].values())


def show(found: Measured) -> None:
    """Print a table of the measurements."""
    gb = found.nbytes / 1e9
    print(f"\n{gb:.2f} GB in Zarr, {len(found.peaks)} workers of {found.limit / 1e9:.2f} GB each")
    for at, (_, peak) in enumerate(sorted(found.peaks.items())):
        share = peak / found.limit
        print(f"  worker {at}: peak memory {peak / 1e6:7.0f} MB, {share:.0%} of its limit")
    print(f"  driver:   peak memory {found.driver / 1e6:7.0f} MB")
    for stage, seconds in found.seconds.items():
        print(f"  {stage:8s} {seconds:7.1f} s")
    rate = sorted(found.passes)[len(found.passes) // 2]
    print(
        f"  {found.iterations} iterations, median {rate / 1e9:.2f} GB/s, "
        f"objective {found.objective:.6g}"
    )


def main() -> None:
    """Generate the array, cluster it, print, and remove the array unless asked to keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gb", type=float, default=8.0, help="decoded size of the array")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="1GB", help="limit of each worker")
    parser.add_argument("--model", default="kmeans")
    parser.add_argument("--block-size", help="decoded size of a block, such as 32MiB")
    parser.add_argument("--folder", type=Path, default=Path("bench-out"))
    parser.add_argument("--keep", action="store_true", help="keep the array")
    given = parser.parse_args()
    path = given.folder / f"larger-than-memory-{given.gb:g}.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(given.folder / "runs", ignore_errors=True)
    limit = parse_bytes(given.memory)
    print(
        f"generating {given.gb:g} GB block by block in {path}: {given.gb * 1e9 / limit:.1f} times "
        "the memory of a worker",
        flush=True,
    )
    began = time.monotonic()
    generate(path, int(given.gb * 1e9))
    print(f"generated in {time.monotonic() - began:.1f} s; clustering on {given.workers} workers")
    config = configure(
        path, given.folder / "runs", given.workers, given.memory, given.model, given.block_size
    )
    try:
        show(measure(config))
    finally:
        if not given.keep:
            shutil.rmtree(path, ignore_errors=True)
    print(f"  checkpoints, model, labels and summary: {config.run.folder}/{config.run.key}")


if __name__ == "__main__":
    main()
