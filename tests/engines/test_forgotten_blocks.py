"""Workers outlive a fit, but keep nothing of it: neither blocks nor what schedules remember."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster

from emdist import KMeans
from emdist.composition.caching import kept_source
from emdist.engines.dask import forgetting
from emdist.engines.dask.engine import DaskEngine
from emdist.errors import EmdistError
from emdist.runtime.cache import MEMO, RESIDENT
from emdist.settings.config import ClusterSection
from emdist.store.sources.ahead import READ_AHEAD
from emdist.store.sources.references import reference
from emdist.store.sources.zarr_source import zarr_source

ROWS = 20_000


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as found,
    ):
        yield found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("f4")
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(ROWS // 16, 4))
    return tmp_path / "x.zarr"


def kept() -> tuple[int, int, int]:
    return RESIDENT.nbytes, MEMO.nbytes, READ_AHEAD.nbytes


class Looking(DaskEngine):
    """Notes what workers keep while a fit runs."""

    seen: list[tuple[int, int, int]] = []  # noqa: RUF012

    def map_reduce(self, *arguments: Any, **more: Any) -> Any:
        found = super().map_reduce(*arguments, **more)
        self.seen.extend(self.client.run(kept).values())
        return found


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_workers_keep_nothing_of_a_fit(client: Client, stored: Path, algorithm: str) -> None:
    engine = Looking(client)
    engine.seen.clear()
    KMeans(4, random_state=0, engine=engine, algorithm=algorithm, block_size="20 KiB").fit(stored)
    resident, memo, _ = np.max(engine.seen, axis=0)
    assert resident > 0  # There was something to forget.
    assert (memo > 0) == (algorithm == "elkan")
    assert list(client.run(kept).values()) == [(0, 0, 0)] * 2


def test_workers_keep_nothing_of_a_fit_that_fails(client: Client, stored: Path) -> None:
    zarr.open_array(stored, mode="r+")[-1] = np.nan
    with pytest.raises(EmdistError, match="NaN"):
        KMeans(4, random_state=0, engine=client, block_size="20 KiB").fit(stored)
    assert list(client.run(kept).values()) == [(0, 0, 0)] * 2


def put(owner: str) -> int:
    from emdist.interfaces import Block
    from emdist.runtime.cache import Key

    RESIDENT.put(Key(owner, "", 0), Block(0, 0, np.ones((100, 1))), 1 << 30)
    return os.getpid()


def test_a_worker_that_is_silent_delays_the_end_of_a_fit_only_a_little(
    client: Client, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "FORGOTTEN", 0.5)
    source = zarr_source(reference(str(stored)))
    context = kept_source(ClusterSection(), source, DaskEngine(client))
    owner = context.__enter__().ahead.owner  # type: ignore[attr-defined]
    pids = client.run(put, owner)
    (stopped, pid), (other, _) = pids.items()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        context.__exit__(None, None, None)
        assert time.monotonic() - began < 30
        assert client.run(kept, workers=[other]) == {other: (0, 0, 0)}
    finally:
        os.kill(pid, signal.SIGCONT)
    # What it was told while it was stopped arrives late.
    deadline = time.monotonic() + 30
    while client.run(kept, workers=[stopped])[stopped][0] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.run(kept, workers=[stopped]) == {stopped: (0, 0, 0)}


def test_a_cluster_that_is_gone_does_not_fail_a_fit_that_has_ended(stored: Path) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        gone = Client(cluster)
        with kept_source(ClusterSection(), zarr_source(reference(str(stored))), DaskEngine(gone)):
            gone.close()
