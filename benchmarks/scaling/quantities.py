"""What a prediction is made from: a job, a cluster, and the constants of a machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from emdist.engines.budget import AT_WORST, BASE
from emdist.engines.dask.graph import Shape
from emdist.engines.dask.memory import SPILL
from emdist.store.sources.plan import MAX_BLOCK_BYTES

TB = 10**12
GB = 10**9


@dataclass(frozen=True)
class ModelShape:
    """What is fitted: a family, its components and the features of a row.

    Attributes
    ----------
    family
        "kmeans", "diagonal" or "full".
    k, d
        Components and features.
    """

    family: str
    k: int
    d: int

    @property
    def name(self) -> str:
        """Of its row in tables and constants."""
        return f"{self.family} k={self.k} d={self.d}"

    @property
    def statistics(self) -> int:
        """D, the length of T(x)."""
        d = self.d
        return {"kmeans": d, "diagonal": 2 * d, "full": d + d * (d + 1) // 2}[self.family]

    @property
    def flops(self) -> int:
        """Of one row: scores, and for mixtures the sums as well; exponentials not counted."""
        return (2 if self.family == "kmeans" else 4) * self.k * self.statistics

    @property
    def sums_bytes(self) -> int:
        """Of one block's sums, in float64: statistics and weights of every component."""
        return 8 * self.k * (self.statistics + 1)

    @property
    def params_bytes(self) -> int:
        """Of the parameters, which travel to every worker once a pass."""
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
    """What a model costs on one core.

    Attributes
    ----------
    row
        Seconds per row of an E-step.
    block
        Seconds per block, whatever its rows: parameters made ready.
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
    """Constants of a machine, as `calibration` measures them.

    Attributes
    ----------
    cores
        Of the machine that was measured.
    plain, packed
        Decoded bytes per second and core, read as emdist reads blocks of several chunks out of
        the page cache: uncompressed, and Zstandard level 3.
    stored
        Stored bytes per decoded byte of the latter.
    first, graph, task
        Of a pass on Dask: seconds of any pass, and seconds of CPU per task of client and
        scheduler before the first block is worked on, and after.
    leaf
        Seconds per task of a worker.
    place, place_bytes
        Seconds, and bytes at the peak, per block and worker of choosing places: once per run.
    add, pickle, move
        Bytes per second: sums joined, sums pickled and unpickled, sums between two workers.
    latency
        Seconds of one fetch from a worker.
    checkpoint, seal
        Seconds of the smallest checkpoint, and bytes per second of larger ones.
    task_bytes
        Of memory that client and scheduler take per task of a pass.
    listing
        Seconds per chunk file of listing and stamping them.
    models
        By name.
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
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Machine:
        """From JSON."""
        found = json.loads(path.read_text(encoding="utf-8"))
        models = {name: Compute(**one) for name, one in found.pop("models").items()}
        return cls(**found, models=models)


@dataclass(frozen=True)
class Cluster:
    """Machines that are not here: every number is an assumption.

    Attributes
    ----------
    workers, threads, memory
        Worker processes, cores of each, bytes of each.
    network
        Bytes per second of one worker, and of the driver.
    storage, aggregate
        Bytes per second that one worker reads, and that all together read.
    latency
        Seconds of one transfer.
    ahead
        Whether a thread's next block is read while it computes.
    keeps
        Whether what is left of a worker's memory keeps decoded blocks between passes.
    task
        Seconds of client and scheduler per task; None: as calibrated.
    slowness
        Sigma of a lognormal factor of every worker, in each pass.
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
    """One fit.

    Attributes
    ----------
    model
        What is fitted.
    nbytes
        Of the array, decoded.
    block_bytes
        Of a block, decoded.
    itemsize
        Of a value.
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
        """L, leaves of a pass."""
        return max(1, math.ceil(self.nbytes / self.block_bytes))

    @property
    def rows(self) -> float:
        """Of one block."""
        return self.nbytes / self.blocks / (self.model.d * self.itemsize)

    @property
    def shape(self) -> Shape:
        """How its blocks are joined."""
        return Shape(self.blocks)

    @property
    def joins(self) -> int:
        """J."""
        return sum(self.shape.widths[1:])

    @property
    def tasks(self) -> int:
        """T: blocks, joins, and the one that unpickles."""
        return self.blocks + self.joins + 1


@dataclass(frozen=True)
class Times:
    """Seconds of the units that a pass is made of, on one worker of a cluster."""

    job: Job
    cluster: Cluster
    machine: Machine
    compute: Compute = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compute", self.machine.models[self.job.model.name])

    @property
    def read(self) -> float:
        """One block from storage, all workers reading at once."""
        rate = min(self.cluster.storage, self.cluster.aggregate / self.cluster.workers)
        return self.job.nbytes / self.job.blocks * self.job.stored / rate

    @property
    def work(self) -> float:
        """One block on one core: decoded, then the E-step."""
        packed = self.machine.packed if self.job.stored < 1 else self.machine.plain
        decoded = self.job.nbytes / self.job.blocks / packed
        return decoded + self.warm

    @property
    def warm(self) -> float:
        """One block on one core that lies there decoded."""
        return self.machine.leaf + self.compute.block + self.job.rows * self.compute.row

    def join(self, children: int, remote: int) -> float:
        """`children` sums into one, `remote` of them from other workers."""
        sums, moved = self.compute.sums, remote * self.compute.sums
        wait = self.cluster.latency if remote else 0.0
        adding = (children - 1) * sums / self.machine.add
        moving = moved / self.cluster.network + moved / self.machine.pickle
        return self.machine.leaf + wait + moving + adding

    @property
    def graph(self) -> float:
        """Before the first block is worked on: the graph made, sent and taken in."""
        return self.machine.first + self.job.tasks * self._per_task(self.machine.graph)

    @property
    def task(self) -> float:
        """Of the scheduler per task, while workers work."""
        return self._per_task(self.machine.task)

    def _per_task(self, part: float) -> float:
        if self.cluster.task is None:
            return part
        return self.cluster.task * part / (self.machine.graph + self.machine.task)

    @property
    def load(self) -> float:
        """The task to every worker: each that has it passes it on."""
        size, hops = self.compute.task, math.ceil(math.log2(self.cluster.workers + 1))
        return hops * (self.cluster.latency + size / self.cluster.network) + (
            size / self.machine.pickle
        )

    @property
    def driver(self) -> float:
        """The last sums to the driver, the M-step, the objective."""
        fetched = self.job.shape.widths[-1]
        size = self.compute.sums
        each = self.cluster.latency + size / self.cluster.network + size / self.machine.pickle
        return fetched * each + self.compute.update

    @property
    def resident(self) -> int:
        """Blocks that each worker keeps between passes."""
        if not self.cluster.keeps:
            return 0
        block = self.job.nbytes / self.job.blocks
        left = SPILL * self.cluster.memory - BASE - self.cluster.threads * AT_WORST * block
        return max(0, min(int(left / block), math.ceil(self.job.blocks / self.cluster.workers)))
