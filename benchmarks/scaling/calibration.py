"""Measure the constants of this machine, with the parts of emdist that the formulas describe."""

from __future__ import annotations

import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import zarr

from benchmarks.scaling.on_dask import DaskCosts, dask_costs
from benchmarks.scaling.quantities import MODELS, Compute, Machine, ModelShape
from emdist.composition.model import make_model
from emdist.engines.blas import one_thread
from emdist.engines.dask.placement import place
from emdist.engines.threads import available_cpus
from emdist.fit.passes import EStep
from emdist.interfaces import Block, Numerics, Source, Spread
from emdist.settings.config import ModelSection
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder
from emdist.store.sources.references import ArrayRef
from emdist.store.sources.stamps import stamps_of
from emdist.store.sources.zarr_source import zarr_source
from emdist.sums import Sums, tree_sum

#: Number of multiply-adds for the larger of the two blocks on which an E-step is timed.
_WORK = 4e9
_CLUSTERS, _CHUNK = 16, 4 << 20
#: Seconds in total after which a measurement is not repeated any more.
_ENOUGH = 3.0


def least(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the fewest seconds of a few repeats: the time of `work` without disturbances."""
    found: list[float] = []
    while len(found) < repeats and sum(found) < _ENOUGH:
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def rows_of(n: int, d: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Draw (n, d) float32 rows in clusters, rounded to 0.01 as measuring instruments do."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (_CLUSTERS, d))
    x = centres[rng.integers(_CLUSTERS, size=n)] + rng.standard_normal((n, d))
    return np.round(x, 2).astype(np.float32)


def write(path: Path, megabytes: int, d: int, packed: bool) -> float:
    """Write clusters as a Zarr array of 4 MiB chunks; return stored bytes per decoded byte."""
    unit = _CHUNK // (4 * d)
    chunks = max(1, megabytes * 10**6 // (unit * 4 * d))
    array = zarr.create_array(
        path, shape=(chunks * unit, d), chunks=(unit, d), dtype="f4",
        compressors=zarr.codecs.ZstdCodec(level=3) if packed else None,
    )  # fmt: skip
    for i in range(chunks):
        array[i * unit : (i + 1) * unit] = rows_of(unit, d, i)
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return stored / (chunks * unit * 4 * d)


def source_of(path: Path, block_bytes: int) -> Source:
    """Open the array as a source of emdist."""
    return zarr_source(ArrayRef(Location(str(path))), None, block_bytes)


def spread_of(d: int) -> Spread:
    """Return the approximate spread of the rows that `rows_of` draws."""
    one = np.ones(d)
    return Spread(0 * one, 0 * one, 10 * one, -15 * one, 15 * one, np.zeros(d, bool), 1.0)


def parameters(shape: ModelShape) -> tuple[Any, Any, Numerics]:
    """Make the model, parameters and numerics with which blocks are timed."""
    model = make_model(ModelSection(name=shape.family, n_components=shape.k))
    seeds = rows_of(shape.k, shape.d, 7).astype(np.float64)
    return model, model.start(seeds, spread_of(shape.d)), Numerics("float32")


def compute_of(shape: ModelShape) -> Compute:
    """Measure a model's E-step per row and per block, and the M-step of the driver."""
    model, params, numerics = parameters(shape)
    origin = np.zeros(shape.d)
    many = max(2048, int(_WORK / (shape.flops / 2)) // 1024 * 1024)
    x = rows_of(many, shape.d)

    def step(rows: int) -> Sums:
        found: Sums = model.e_step(Block(0, 0, x[:rows]), params, origin, numerics)
        return found

    with one_thread():
        sums = step(1024)  # Compiles the kernels.
        few, all_rows = least(lambda: step(1024)), least(lambda: step(many))
        row = (all_rows - few) / (many - 1024)
        x = rows_of(max(2048, 4 * shape.k), shape.d)
        sums = step(len(x))
        update = least(
            lambda: (model.objective(sums, params, numerics), model.m_step(sums, params, numerics))
        )
    task = cloudpickle.dumps(EStep(_NO_SOURCE, model, params, origin, numerics))
    return Compute(row, max(0.0, few - 1024 * row), update, len(pickle.dumps(sums, 5)), len(task))


_NO_SOURCE: Any = None


def read_rate(source: Source) -> float:
    """Measure decoded bytes per second of one thread, with the files in the page cache."""
    nbytes = source.shape[0] * source.shape[1] * source.dtype.itemsize
    return nbytes / least(lambda: [source.read(i).x[::1024].sum() for i in range(len(source))])


def adding() -> tuple[float, float]:
    """Measure bytes per second of adding sums, and of pickling and unpickling them."""
    sums = [Sums({"t": np.ones(1 << 20), "n": np.ones(100)}) for _ in range(8)]
    size = sums[0]["t"].nbytes
    whole = least(lambda: pickle.loads(pickle.dumps(sums[0], 5)))
    return 7 * size / least(lambda: tree_sum(sums)), size / whole


def placing(blocks: int = 10_000, workers: int = 100) -> tuple[float, float]:
    """Measure seconds and peak bytes of choosing workers for blocks, per block and worker."""
    addresses = tuple((f"tcp://10.0.0.{i}:4000", 4) for i in range(workers))
    chosen = place.__wrapped__  # The function without its cache.
    seconds = least(lambda: chosen(tuple(range(blocks)), addresses))
    tracemalloc.start()
    chosen(tuple(range(blocks)), addresses)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds / (blocks * workers), peak / (blocks * workers)


def checkpointing(folder: Path) -> tuple[float, float]:
    """Measure seconds of the smallest checkpoint, and bytes per second of a large one."""
    run = RunFolder(Location(str(folder)))
    run.create_or_check({})
    epoch = run.claim()
    number = iter(range(100))

    def save(size: int) -> float:
        arrays = {"sums": np.ones(size // 8)}
        return least(lambda: run.save("ckpt", next(number), arrays, {}, epoch))

    small, large = save(1 << 10), save(64 << 20)
    return small, (64 << 20) / max(large - small, 1e-3)


def listing(folder: Path, files: int = 2000) -> float:
    """Measure the seconds per chunk file of reading the time stamps of all files."""
    array = zarr.create_array(folder, shape=(files, 1), chunks=(1, 1), dtype="f4")
    for i in range(files):
        path = folder / "c" / str(i) / "0"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1234")
    assert array.nchunks == files
    return least(lambda: stamps_of(ArrayRef(Location(str(folder))))) / files


def calibrate(say: Callable[[str], None], megabytes: int = 128) -> Machine:
    """Measure all constants, in a minute or two."""
    with tempfile.TemporaryDirectory(prefix="emdist-scaling-") as name:
        folder = Path(name)
        say("reading")
        write(folder / "plain", megabytes, 32, False)
        stored = write(folder / "packed", megabytes, 32, True)
        with one_thread():
            plain = read_rate(source_of(folder / "plain", 32 << 20))
            packed = read_rate(source_of(folder / "packed", 32 << 20))
        say("sums, places, checkpoints, listing")
        (add, both), (each, peak) = adding(), placing()
        checkpoint, seal = checkpointing(folder / "run")
        listed = listing(folder / "many")
    say("Dask")
    dask: DaskCosts = dask_costs()  # Before the process has grown.
    models = {}
    for shape in MODELS:
        say(shape.name)
        models[shape.name] = compute_of(shape)
    return Machine(
        available_cpus(), plain, packed, stored, dask.first, dask.graph, dask.task, dask.leaf,
        each, peak, add, both, dask.move, dask.latency, checkpoint, seal, dask.task_bytes,
        listed, models,
    )  # fmt: skip
