"""DaskEngine: runs passes on a Dask cluster with bit-identical results.

If nothing finishes for a while, it gives unfinished blocks to other workers.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

import cloudpickle  # type: ignore[import-untyped]
from distributed import Client

from emdist.engines.dask.attempts import Order, RunningPass
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
    """Processes blocks on the workers of a Dask cluster.

    Each pass is one graph: the task, one leaf per block, and joins of eight that follow the fixed
    tree. At most eight nodes come back to the driver. Nothing stays on the cluster when a pass
    ends, however it ends.

    Parameters
    ----------
    client
        A synchronous and connected client. Its owner closes it.
    run
        A part of every key, to distinguish runs on the dashboard. Keys are unique without it.
    stall_timeout
        Seconds without any finished group of eight blocks before the unfinished blocks are given to
        other workers. Dask itself has no time limit for a task. It must be longer than the slowest
        block takes.
    workers_timeout
        Seconds without any worker before the pass fails.
    retries
        How often Dask repeats a block whose task raised an error. Errors of the data or the
        configuration (`graph.FINAL`) are raised at once.
    """

    client: Client
    run: str = field(default_factory=_nonce)
    stall_timeout: float = 600.0
    workers_timeout: float = 60.0
    retries: int = 2
    # The nonce is unique for each engine. A resumed run counts passes from 0 again, perhaps on a
    # scheduler that still knows the keys of the earlier process and would answer with old results.
    _nonce: str = field(default_factory=_nonce, init=False, repr=False, compare=False)
    _passes: Iterator[int] = field(
        default_factory=itertools.count, init=False, repr=False, compare=False
    )
    # The workers that have stalled. An address that comes back is a new worker.
    _avoid: Blamed = field(default_factory=Blamed, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.client.asynchronous:
            raise ConfigError(
                "the Dask client is asynchronous, but a fit needs a synchronous one. "
                "Create it with Client(..., asynchronous=False)."
            )
        waits = (self.stall_timeout, self.workers_timeout)
        if not all(0 < wait < inf for wait in waits) or self.retries < 0:
            raise ConfigError(
                f"stall_timeout={self.stall_timeout} and workers_timeout={self.workers_timeout} "
                "must be positive and finite numbers of seconds, and "
                f"retries={self.retries} must be at least 0."
            )

    @property
    def dashboard(self) -> str:
        """Address of the page on which Dask shows the work; empty if there is none."""
        # An address of a scheduler without that page, or one that has just gone, is no failure.
        with suppress(Exception):
            return str(self.client.dashboard_link or "")
        return ""

    @interrupts_first()
    def map_reduce(
        self,
        task: Callable[[int], S],
        blocks: Sequence[int],
        done: Callable[[int], None] | None = None,
    ) -> S:
        """Return ``tree_sum([task(i) for i in blocks])``, bit for bit; see `interfaces.Engine`.

        Raises
        ------
        SchedulerError
            If the scheduler cannot be reached or was lost.
        WorkersError
            If there are no workers, workers die again and again, or three attempts stalled.
        WorkerPackageError
            If a worker or the scheduler cannot import what the task needs.
        Exception
            Whatever the task raised `retries` + 1 times, or once if the error is final.
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
        current: RunningPass[S] = RunningPass(self.client, order, self._avoid, done)
        try:
            return current.result()
        finally:
            current.close()


def _needed(task: Callable[..., object], blocks: Sequence[int]) -> tuple[tuple[Key, ...], ...]:
    """Return the keys of the persisted chunks from which each block is made: usually none."""
    needs = needs_of(task)
    return tuple(() if needs is None else needs(int(i)) for i in blocks)


def _label(task: Callable[..., object]) -> str:
    """Return the name of a task on the dashboard, by which Dask also averages durations."""
    name = getattr(task, "__name__", type(task).__name__)
    return "".join(c for c in name if c.isalnum() or c == "_") or "task"
