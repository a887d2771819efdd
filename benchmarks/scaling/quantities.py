"""The inputs of a prediction: a job, a cluster, and the constants of a machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from emdist.engines.budget import AT_WORST, BASE
from emdist.engines.dask.graph import JoinShape
from emdist.engines.dask.memory import SPILL
from emdist.store.sources.plan import MAX_BLOCK_BYTES

TB = 10**12
GB = 10**9


@dataclass(frozen=True)
class ModelShape:
    """The shape of a model: its family, components and features.

    Attributes
    ----------
    family
        "kmeans", "diagonal" or "full".
    k, d
        Number of components and of features.
    """

    family: str
    k: int
    d: int

    @property
    def name(self) -> str:
        """Name of the model in tables and constants."""
        return f"{self.family} k={self.k} d={self.d}"

    @property
    def statistics(self) -> int:
        """D, the length of the sufficient statistics T(x) of a row."""
        d = self.d
        return {"kmeans": d, "diagonal": 2 * d, "full": d + d * (d + 1) // 2}[self.family]

    @property
    def flops(self) -> int:
        """Floating-point operations per row for scores and, in mixtures, sums; no exponentials."""
        return (2 if self.family == "kmeans" else 4) * self.k * self.statistics

    @property
    def sums_bytes(self) -> int:
        """Bytes of one block's sums in float64: statistics and weights of every component."""
        return 8 * self.k * (self.statistics + 1)

    @property
    def params_bytes(self) -> int:
        """Bytes of the parameters, which are sent to every worker once per pass."""
        scale = {"kmeans": 0, "diagonal": self.d, "full": self.d**2}[self.family]
        return 8 * self.k * (1 + self.d + scale)


#: The models that are calibrated and predicted.
MODELS = (
    ModelShape("kmeans", 100, 32),
    ModelShape("kmeans", 100, 100),
    ModelShape("diagonal", 50, 32),
    ModelShape("diagonal", 50, 100),
    ModelShape("full", 32, 32),
    ModelShape("full", 100, 512),
)


@dataclass(frozen=True)
class Compute:
    """The cost of a model on one core.

    Attributes
    ----------
    row
        Seconds of an E-step per row.
    block
        Seconds per block that do not depend on its rows, to prepare the parameters.
    update
        Seconds of the M-step and the objective on the driver.
    sums, task
        Bytes of the pickled sums and of the pickled task.
    """

    row: float
    block: float
    update: float
    sums: int
    task: int


@dataclass(frozen=True)
class Machine:
    """The constants of a machine, as `calibration` measures them.

    Attributes
    ----------
    cores
        Number of cores of the measured machine.
    plain, packed
        Decoded bytes per second and core when emdist reads blocks of several chunks from the page
        cache: uncompressed chunks, and chunks with Zstandard level 3.
    stored
        Stored bytes per decoded byte of the compressed chunks.
    first, graph, task
        Costs of a pass on Dask: fixed seconds of any pass; CPU seconds of client and scheduler per
        task before work on the first block begins; CPU seconds per task after that.
    leaf
        Seconds of a worker per task.
    place, place_bytes
        Seconds and peak bytes, per block and worker, of choosing workers for blocks, once per run.
    add, pickle, move
        Bytes per second of adding sums, of pickling and unpickling them, and of moving them between
        two workers.
    latency
        Seconds of one fetch from a worker.
    checkpoint, seal
        Seconds of the smallest checkpoint, and bytes per second of larger ones.
    task_bytes
        Bytes of memory that client and scheduler use per task of a pass.
    listing
        Seconds per chunk file of listing files and reading their time stamps.
    models
        Name of a model -> its costs.
    """

    cores: int
    plain: float
    packed: float
    stored: float
    first: float
    graph: float
    task: float
    leaf: float
    place: float
    place_bytes: float
    add: float
    pickle: float
    move: float
    latency: float
    checkpoint: float
    seal: float
    task_bytes: float
    listing: float
    models: Mapping[str, Compute]

    def save(self, path: Path) -> None:
        """Write the constants as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Machine:
        """Read the constants from JSON."""
        found = json.loads(path.read_text(encoding="utf-8"))
        models = {name: Compute(**one) for name, one in found.pop("models").items()}
        return cls(**found, models=models)


@dataclass(frozen=True)
class Cluster:
    """A cluster of machines that are not here, so every number is an assumption.

    Attributes
    ----------
    workers, threads, memory
        Number of worker processes, and cores and bytes of memory of each.
    network
        Bytes per second of the network of one worker, and of the driver.
    storage, aggregate
        Bytes per second that one worker reads, and that all workers read together.
    latency
        Seconds of one transfer.
    ahead
        Whether a thread's next block is read while it computes.
    keeps
        Whether a worker's free memory keeps decoded blocks between passes.
    task
        Seconds of client and scheduler per task; None for the calibrated value.
    slowness
        Sigma of the lognormal factor by which every worker is slower, in each pass.
    failures, restart
        Deaths per worker and hour, and seconds until a dead worker is back.
    """

    workers: int
    threads: int = 4
    memory: float = 16e9
    network: float = 1.25e9
    storage: float = 1e9
    aggregate: float = 1e11
    latency: float = 1e-3
    ahead: bool = False
    keeps: bool = True
    task: float | None = None
    slowness: float = 0.0
    failures: float = 0.0
    restart: float = 30.0


@dataclass(frozen=True)
class Job:
    """One fit: its model and its data.

    Attributes
    ----------
    model
        The shape of the model that is fitted.
    nbytes
        Decoded bytes of the array.
    block_bytes
        Decoded bytes of a block.
    itemsize
        Bytes of a value.
    stored
        Stored bytes per decoded byte.
    """

    model: ModelShape
    nbytes: float
    block_bytes: float = float(MAX_BLOCK_BYTES)
    itemsize: int = 4
    stored: float = 1.0

    @property
    def blocks(self) -> int:
        """L, the number of blocks, which are the leaves of a pass."""
        return max(1, math.ceil(self.nbytes / self.block_bytes))

    @property
    def rows(self) -> float:
        """Number of rows of one block."""
        return self.nbytes / self.blocks / (self.model.d * self.itemsize)

    @property
    def shape(self) -> JoinShape:
        """How the blocks of a pass are joined."""
        return JoinShape(self.blocks)

    @property
    def joins(self) -> int:
        """J, the number of joins."""
        return sum(self.shape.widths[1:])

    @property
    def tasks(self) -> int:
        """T, the number of tasks: blocks, joins, and the task that unpickles."""
        return self.blocks + self.joins + 1


@dataclass(frozen=True)
class Times:
    """Seconds of the parts of a pass, on one worker of a cluster."""

    job: Job
    cluster: Cluster
    machine: Machine
    compute: Compute = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compute", self.machine.models[self.job.model.name])

    @property
    def read(self) -> float:
        """Seconds to read one block from storage while all workers read."""
        rate = min(self.cluster.storage, self.cluster.aggregate / self.cluster.workers)
        return self.job.nbytes / self.job.blocks * self.job.stored / rate

    @property
    def work(self) -> float:
        """Seconds to decode one block and make its E-step, on one core."""
        packed = self.machine.packed if self.job.stored < 1 else self.machine.plain
        decoded = self.job.nbytes / self.job.blocks / packed
        return decoded + self.warm

    @property
    def warm(self) -> float:
        """Seconds of the E-step of one decoded block, on one core."""
        return self.machine.leaf + self.compute.block + self.job.rows * self.compute.row

    def join(self, children: int, remote: int) -> float:
        """Return the seconds to join `children` sums, `remote` of them from other workers."""
        sums, moved = self.compute.sums, remote * self.compute.sums
        wait = self.cluster.latency if remote else 0.0
        adding = (children - 1) * sums / self.machine.add
        moving = moved / self.cluster.network + moved / self.machine.pickle
        return self.machine.leaf + wait + moving + adding

    @property
    def graph(self) -> float:
        """Seconds until work on the first block begins: to make, send and receive the graph."""
        return self.machine.first + self.job.tasks * self._per_task(self.machine.graph)

    @property
    def task(self) -> float:
        """Seconds of the scheduler per task while workers compute."""
        return self._per_task(self.machine.task)

    def _per_task(self, part: float) -> float:
        if self.cluster.task is None:
            return part
        return self.cluster.task * part / (self.machine.graph + self.machine.task)

    @property
    def load(self) -> float:
        """Seconds to send the task to every worker. Each worker that has it passes it on."""
        size, hops = self.compute.task, math.ceil(math.log2(self.cluster.workers + 1))
        return hops * (self.cluster.latency + size / self.cluster.network) + (
            size / self.machine.pickle
        )

    @property
    def driver(self) -> float:
        """Seconds to fetch the last sums, and for M-step and objective on the driver."""
        fetched = self.job.shape.widths[-1]
        size = self.compute.sums
        each = self.cluster.latency + size / self.cluster.network + size / self.machine.pickle
        return fetched * each + self.compute.update

    @property
    def resident(self) -> int:
        """Number of blocks that each worker keeps in memory between passes."""
        if not self.cluster.keeps:
            return 0
        block = self.job.nbytes / self.job.blocks
        left = SPILL * self.cluster.memory - BASE - self.cluster.threads * AT_WORST * block
        return max(0, min(int(left / block), math.ceil(self.job.blocks / self.cluster.workers)))
