"""One pass on a Dask cluster: submits the blocks, waits, and submits stalled blocks again."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import dask
import numpy as np
from distributed import Client, Future

from emdist.engines.dask.faults import ask, lost, no_workers, roster, stragglers, translated
from emdist.engines.dask.graph import LEVELS, JoinShape, Names, Node, Refusal, build
from emdist.engines.dask.persisted import Key, near
from emdist.engines.dask.placement import InTurn, Places, choose, following
from emdist.engines.dask.trust import Blamed
from emdist.errors import WorkersError
from emdist.runtime.tallies import tally
from emdist.sums import Monoid, Tree
from emdist.wording import either

S = TypeVar("S", bound=Monoid)

logger = logging.getLogger(__name__)

#: How often the blocks of a pass are submitted before a stalled pass fails.
ATTEMPTS = 3

#: Seconds between checks of the cluster while nothing finishes.
TICK = 1.0


#: Seconds without a heartbeat after which a worker gets no blocks.
SILENCE = 10.0


class Stalled(Exception):  # noqa: N818  a signal inside this module
    """No group of blocks has finished for too long."""


@dataclass(frozen=True)
class Order:
    """What a pass must do.

    Attributes
    ----------
    label, token
        The parts of the keys. `token` is unique for each pass.
    payload
        The pickled task.
    blocks
        The block indices, at least one.
    stall, patience
        The seconds that may pass without a finished group, and without any worker.
    retries
        How often a block whose task raised is repeated.
    needs
        For each block, the keys of the persisted chunks from which it is made.
    """

    label: str
    token: str
    payload: bytes
    blocks: tuple[int, ...]
    stall: float
    patience: float
    retries: int
    needs: tuple[tuple[Key, ...], ...]


class RunningPass(Generic[S]):
    """One `map_reduce` in progress.

    It is mutable because groups finish one at a time: it holds the futures, the tree of sums, and
    the time of the last progress. One thread uses it. Dask's callbacks only put items into the
    queue.

    Parameters
    ----------
    client
        A connected client.
    order
        What the pass must do.
    avoid
        The workers that have stalled. This pass adds workers to it and removes some.
    report
        A function that is called with the number of finished blocks.
    """

    def __init__(
        self,
        client: Client,
        order: Order,
        avoid: Blamed,
        report: Callable[[int], None] | None,
    ) -> None:
        self._client, self._order, self._avoid, self._report = client, order, avoid, report
        self._shape = JoinShape(len(order.blocks))
        top = self._shape.top
        self._missing: set[Node] = {(top, i) for i in range(self._shape.widths[top])}
        self._tree: Tree[S] = Tree(len(self._missing), top * LEVELS)
        self._futures: dict[Node, Future] = {}
        self._counted: set[Node] = set()
        self._finished = 0
        self._arrived: queue.SimpleQueue[tuple[Node, Future]] = queue.SimpleQueue()
        self._progress = self._staffed = time.monotonic()

    def result(self) -> S:
        """Run the pass to its end and return the sum."""
        for attempt in range(ATTEMPTS):
            self._submit(attempt)
            try:
                while self._missing:
                    self._wait()
                return self._tree.result()
            except Stalled:
                self._give_up_on_stragglers(attempt)
        raise WorkersError(
            f"{len(self._order.blocks) - self._finished} of {len(self._order.blocks)} blocks did "
            f"not finish: in each of {ATTEMPTS} attempts, no block finished for "
            f"{self._order.stall:g} s. The last workers with unfinished blocks are "
            f"{_names(self._avoid)}. Read their logs, restart them, and "
            f"{either('try again', 'start the same run again')}. If the blocks are only slow, "
            "raise cluster.stall_timeout or make the blocks smaller."
        )

    def close(self) -> None:
        """Leave nothing on the cluster. This never raises if the cluster is gone."""
        futures = list(self._futures.values())
        self._futures.clear()
        self._drop(futures)

    def _drop(self, futures: list[Future]) -> None:
        """Cancel and release `futures`."""
        pending = [future for future in futures if future.status == "pending"]
        with suppress(OSError, TimeoutError, RuntimeError):
            if pending and self._client.status == "running":
                self._client.cancel(pending)
        for future in futures:
            future.release()

    def _submit(self, attempt: int) -> None:
        """Submit the nodes that are missing and not held already."""
        order, held_before = self._order, dict(self._futures)
        names = Names(order.label, f"{order.token}-{attempt}")
        workers, silent = roster(self._client, SILENCE)
        if forgiven := self._avoid.forgive(self._client):
            logger.warning("giving work to %s again", _names(forgiven))
        # Workers that fell silent between passes get no blocks, rather than stalling this pass
        # first.
        avoid = set(self._avoid) | silent
        places = self._places(names.leaf, workers, avoid)
        threads = [workers[address] for address in places.workers]
        graph, new = build(
            self._shape,
            names,
            order.payload,
            order.blocks,
            self._missing,
            {node: future.key for node, future in held_before.items()},
            following(order.blocks, places.index, threads),
            order.needs,
        )
        with (
            dask.annotate(
                **({"workers": places} if places.workers else {}),
                allow_other_workers=not places.strict,
                retries=order.retries,
                priority=InTurn(names.leaf, len(order.blocks)),
            ),
            # Dask would warn about a large graph and advise to scatter, which the load task makes
            # unnecessary.
            dask.config.set({"distributed.admin.large-graph-warning-threshold": "4 GiB"}),
        ):
            futures = self._client.get(graph, [names.key(node) for node in new], sync=False)
        for node, future in zip(new, futures, strict=True):
            self._futures[node] = future
            future.add_done_callback(partial(self._on_done, node))
        self._progress = time.monotonic()

    def _places(self, leaf: str, workers: dict[str, int], avoid: set[str]) -> Places:
        """Return which worker takes which block.

        If there is no worker yet, any may take any block: an adaptive cluster starts workers once
        tasks wait.
        """
        blocks = self._order.blocks
        if not self._staffed_by(workers):
            return Places(leaf, np.full(len(blocks), -1, np.int64), ())
        places = choose(leaf, blocks, workers, avoid)
        if any(self._order.needs):
            index = near(self._client, places, self._order.needs)
            places = replace(places, index=index)
        return places

    def _on_done(self, node: Node, future: Future) -> None:
        """Put a finished node into the queue. Dask calls this on a thread of its own."""
        self._arrived.put((node, future))

    def _wait(self) -> None:
        """Accept the nodes that have finished, or check the cluster if there are none."""
        try:
            arrived = [self._arrived.get(timeout=min(TICK, self._order.stall / 4))]
        except queue.Empty:
            self._look_around()
            return
        with suppress(queue.Empty):
            while True:
                arrived.append(self._arrived.get_nowait())
        values = self._fetch_all(arrived)
        for node, future in arrived:
            self._take(node, future, values)

    def _fetch_all(self, arrived: list[tuple[Node, Future]]) -> dict[Node, S | Refusal]:
        """Fetch the values of several nodes in one request. Return nothing if that fails."""
        futures = [
            future
            for node, future in arrived
            if node in self._missing and self._futures[node] is future
            if future.status == "finished"
        ]
        if len(futures) < 2:
            return {}
        try:
            values = self._client.sync(
                lambda: self._client.gather(futures, asynchronous=True),
                callback_timeout=self._order.stall,
            )
        except TimeoutError:
            raise Stalled from None  # It finished on a worker that does not answer.
        except Exception:  # noqa: BLE001  each is then fetched alone and reports its error
            return {}
        nodes = {future: node for node, future in arrived}
        return {nodes[future]: value for future, value in zip(futures, values, strict=True)}

    def _take(self, node: Node, future: Future, values: dict[Node, S | Refusal]) -> None:
        """Accept one node, whose value may be in `values` already."""
        if node not in self._futures or self._futures[node] is not future:
            return  # from an earlier attempt, or released because its parent was faster
        if future.status == "finished" or node in values:
            self._accept(node, future, values)
        elif future.status == "error":
            error = translated(self._client, future.exception())
            raise error.with_traceback(future.traceback())
        elif future.status == "cancelled":
            raise lost(self._client, "it cancelled the work")
        else:  # The worker died with the result, and Dask computes it again.
            future.add_done_callback(partial(self._on_done, node))

    def _accept(self, node: Node, future: Future, values: dict[Node, S | Refusal]) -> None:
        """Add a finished node to the tree if the driver needs it, and count its blocks."""
        if node in self._missing:
            value = values[node] if node in values else self._fetch(future)
            if isinstance(value, Refusal):
                raise value.error
            self._tree.add(node[1], value)
            self._missing.discard(node)
            self._futures.pop(node).release()
        self._count(node)
        self._retire(node)
        self._progress = time.monotonic()
        if self._report is not None:
            self._report(self._finished)

    def _fetch(self, future: Future) -> S | Refusal:
        """Return the value of one future, or raise the error of its task."""
        try:
            value: S | Refusal = future.result(timeout=self._order.stall)
        except Exception as error:  # errors of the task itself come back here
            if isinstance(error, TimeoutError) and future.status != "error":
                raise Stalled from None  # It finished on a worker that does not answer.
            raise translated(self._client, error) from error
        return value

    def _retire(self, node: Node) -> None:
        """Release the futures from which `node` was made.

        Dask keeps their recipes while it needs them.
        """
        if node[0] <= self._shape.low:
            return
        for child in self._shape.children(node):
            if (future := self._futures.pop(child, None)) is not None:
                future.release()
                self._count(child)
                self._retire(child)

    def _count(self, node: Node) -> None:
        """Count the blocks of a finished node, once."""
        if node[0] == self._shape.low and node not in self._counted:
            self._counted.add(node)
            self._finished += self._shape.size(node)

    def _look_around(self) -> None:
        """Raise Stalled if there are workers and nothing has finished for too long."""
        if not self._staffed_by(ask(self._client, "ncores", workers=None)):
            self._progress = time.monotonic()  # The absence of workers has its own time limit.
        elif time.monotonic() - self._progress > self._order.stall:
            raise Stalled

    def _staffed_by(self, workers: dict[str, int]) -> bool:
        """Return whether there are workers. Raise if there have been none for too long."""
        now = time.monotonic()
        if workers:
            self._staffed = now
        elif now - self._staffed > self._order.patience:
            raise no_workers(self._client, self._order.patience)
        return bool(workers)

    def _give_up_on_stragglers(self, attempt: int) -> None:
        """Keep finished nodes on workers that are still trusted, and cancel everything else."""
        order = self._order
        leaf = f"{order.label}-{order.token}"
        self._avoid.blame(stragglers(self._client, leaf, order.stall), order.stall)
        finished = {n: f for n, f in self._futures.items() if f.status == "finished"}
        holders = ask(self._client, "who_has", keys=[f.key for f in finished.values()])
        for node in self._missing & finished.keys():  # finished, but not fetched
            self._avoid.blame(holders.get(finished.pop(node).key, ()), order.stall)
        avoid = set(self._avoid)
        kept = {n: f for n, f in finished.items() if set(holders.get(f.key, ())) - avoid}
        dropped = [f for n, f in self._futures.items() if n not in kept]
        self._futures = kept
        self._drop(dropped)
        tally("stalls")
        logger.warning(
            "no block finished for %g s (attempt %d of %d); giving no work to %s for a while",
            self._order.stall, attempt + 1, ATTEMPTS, _names(self._avoid),
        )  # fmt: skip


def _names(workers: Iterable[str]) -> str:
    return ", ".join(sorted(workers)) or "no worker"
