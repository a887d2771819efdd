"""Workers that have stood still: avoided for a while, and trusted again once they are well."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client

from emdist.engines.dask.faults import ask, missed_beats

#: States of tasks that hold a thread; a hung one stays "cancelled" when it has been given up.
_BUSY = ("executing", "cancelled", "resumed", "long-running")
#: Stalls that a worker is avoided for the first time; twice as many every further time.
_FIRST = 2


@dataclass(frozen=True)
class _Blame:
    """How often a worker stood still, and when it may be tried again."""

    times: int
    until: float


class Blamed:
    """The addresses to avoid: a set that forgets.

    Without a memory, a hung worker would cost every pass its stall_timeout; without an end to
    it, one that was only suspended for a while would be lost to a run of hours. So a worker is
    tried again once its heart beats and it works on nothing, but after each failure only after
    twice the time: what a bad one costs stays a fraction of the run.

    It has state because passes share it.
    """

    def __init__(self) -> None:
        self._blames: dict[str, _Blame] = {}
        self._avoided: set[str] = set()

    def __len__(self) -> int:
        return len(self._avoided)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._avoided))

    def blame(self, addresses: Iterable[str], stall: float) -> None:
        """Avoid `addresses`, which stood still for `stall` seconds."""
        for address in addresses:
            times = self._blames[address].times + 1 if address in self._blames else 1
            until = time.monotonic() + stall * _FIRST**times
            self._blames[address] = _Blame(times, until)
            self._avoided.add(address)

    def forgive(self, client: Client) -> set[str]:
        """Trust those again whose time is over and that are well; their addresses."""
        now = time.monotonic()
        due = {address for address in self._avoided if self._blames[address].until <= now}
        if not due:
            return set()
        workers = ask(client, "identity", n_workers=-1)["workers"]
        well = {address for address in due if address in workers and _is_well(address, workers)}
        self._avoided -= well
        return well


def _is_well(address: str, workers: Mapping[str, Any]) -> bool:
    """Whether a worker is heard of as lately as the others, and no block hangs in it."""
    newest = max(worker["last_seen"] for worker in workers.values())
    worker = workers[address]
    counts = worker.get("metrics", {}).get("task_counts", {})
    busy = any(counts.get(state) for state in _BUSY)
    return bool(newest - worker["last_seen"] < missed_beats(len(workers)) and not busy)
