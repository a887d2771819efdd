"""Workers that have stalled: avoided for a while, and trusted again once they have recovered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client

from emdist.engines.dask.faults import ask, missed_beats

#: The states of tasks that occupy a thread. A hanging task stays "cancelled" after it was given up.
_BUSY = ("executing", "cancelled", "resumed", "long-running")
#: How many stall times a worker is avoided the first time. Each further time is twice as long.
_FIRST = 2


@dataclass(frozen=True)
class _Blame:
    """How often a worker has stalled, and when it may be tried again."""

    times: int
    until: float


class Blamed:
    """The addresses of workers to avoid, for a limited time.

    Without this memory, a hanging worker would cost every pass its stall_timeout. Without a time
    limit, a run of hours would lose a worker that was only suspended for a while. So a worker is
    tried again once it sends heartbeats and has no work. Each failure doubles the waiting time, so
    a bad worker costs only a fraction of the run.

    The set is mutable because passes share it.
    """

    def __init__(self) -> None:
        self._blames: dict[str, _Blame] = {}
        self._avoided: set[str] = set()

    def __len__(self) -> int:
        return len(self._avoided)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._avoided))

    def blame(self, addresses: Iterable[str], stall: float) -> None:
        """Avoid `addresses`, which stalled for `stall` seconds."""
        for address in addresses:
            times = self._blames[address].times + 1 if address in self._blames else 1
            until = time.monotonic() + stall * _FIRST**times
            self._blames[address] = _Blame(times, until)
            self._avoided.add(address)

    def forgive(self, client: Client) -> set[str]:
        """Trust recovered workers again whose time is over. Return their addresses."""
        now = time.monotonic()
        due = {address for address in self._avoided if self._blames[address].until <= now}
        if not due:
            return set()
        workers = ask(client, "identity", n_workers=-1)["workers"]
        well = {address for address in due if address in workers and _is_well(address, workers)}
        self._avoided -= well
        return well


def _is_well(address: str, workers: Mapping[str, Any]) -> bool:
    """Return whether a worker's heartbeat is as recent as the others', and no block hangs in it."""
    newest = max(worker["last_seen"] for worker in workers.values())
    worker = workers[address]
    counts = worker.get("metrics", {}).get("task_counts", {})
    busy = any(counts.get(state) for state in _BUSY)
    return bool(newest - worker["last_seen"] < missed_beats(len(workers)) and not busy)
