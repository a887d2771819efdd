"""The engine of a Dask cluster: the same bits as the local one, and a watchdog."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

import cloudpickle  # type: ignore[import-untyped]
from distributed import Client

from emdist.engines.dask.attempts import Order, Pass
from emdist.engines.dask.persisted import Key, needs_of
from emdist.engines.dask.trust import Blamed
from emdist.engines.loop import require_blocks
from emdist.errors import ConfigError
from emdist.runtime.interrupts import interrupts_first
from emdist.sums import Monoid

S = TypeVar("S", bound=Monoid)


def _nonce() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True)
class DaskEngine:
    """Runs blocks on the workers of a Dask cluster.

    Each pass is one graph: the task, one leaf per block, and joins of eight that follow the
    fixed tree. At most eight nodes come back to the driver. Nothing stays on the cluster when
    a pass ends, however it ends.

    Parameters
    ----------
    client
        Synchronous and connected. Its owner closes it.
    run
        Part of every key, to tell runs apart on the dashboard. Keys are unique without it.
    stall_timeout
        Seconds without any finished group of eight blocks before the unfinished ones are
        given to other workers. Dask itself has no time limit on a task. Must be longer than
        the slowest block takes.
    workers_timeout
        Seconds without any worker before the pass is given up.
    retries
        How often Dask repeats a block whose task raised an error, unless it is one of the data
        or the configuration (`graph.FINAL`): those are told at once.
    """

    client: Client
    run: str = field(default_factory=_nonce)
    stall_timeout: float = 600.0
    workers_timeout: float = 60.0
    retries: int = 2
    # A run that is resumed counts from 0 again, perhaps on a scheduler that still knows keys of
    # its dead predecessor and would answer with old results: hence a nonce per engine.
    _nonce: str = field(default_factory=_nonce, init=False, repr=False, compare=False)
    _passes: Iterator[int] = field(
        default_factory=itertools.count, init=False, repr=False, compare=False
    )
    # Of workers that have stood still. An address that comes back is a new worker.
    _avoid: Blamed = field(default_factory=Blamed, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.client.asynchronous:
            raise ConfigError(
                "the Dask client is asynchronous, and a fit is not; "
                "make it with Client(..., asynchronous=False)."
            )
        waits = (self.stall_timeout, self.workers_timeout)
        if not all(0 < wait < inf for wait in waits) or self.retries < 0:
            raise ConfigError(
                f"stall_timeout={self.stall_timeout} and workers_timeout="
                f"{self.workers_timeout} must be positive seconds, finite, and "
                f"retries={self.retries} not negative."
            )

    @interrupts_first()
    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """``tree_sum([task(i) for i in blocks])``, bit for bit; see `interfaces.Engine`.

        Raises
        ------
        SchedulerError
            The scheduler cannot be reached or was lost.
        WorkersError
            No workers, workers that die again and again, or three attempts that stood still.
        WorkerPackageError
            A worker or the scheduler cannot import what the task needs.
        Exception
            Whatever the task raised `retries` + 1 times, or once if it is final.
        """
        require_blocks(blocks)
        order = Order(
            label=_label(task),
            token=f"{next(self._passes)}-{self.run}-{self._nonce}",
            payload=cloudpickle.dumps(task),
            blocks=tuple(int(i) for i in blocks),
            stall=self.stall_timeout,
            patience=self.workers_timeout,
            retries=self.retries,
            needs=_needed(task, blocks),
        )
        current: Pass[S] = Pass(self.client, order, self._avoid, done)
        try:
            return current.result()
        finally:
            current.close()


def _needed(task: Callable[..., object], blocks: Sequence[int]) -> tuple[tuple[Key, ...], ...]:
    """Keys of the persisted chunks that each block is made from: none, as a rule."""
    needs = needs_of(task)
    return tuple(() if needs is None else needs(int(i)) for i in blocks)


def _label(task: Callable[..., object]) -> str:
    """What the dashboard shows, and what Dask keeps average durations by."""
    name = getattr(task, "__name__", type(task).__name__)
    return "".join(c for c in name if c.isalnum() or c == "_") or "task"
