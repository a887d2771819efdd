"""Workers that stand still for good: a cluster of emdist's own is rid of them by itself."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pytest

import emdist.engines.dask.nanny as nanny
from emdist.engines.clusters.local import Local
from emdist.engines.dask.engine import DaskEngine
from emdist.sums import Sums
from tests.chaos.faults import ACTS, LOST
from tests.chaos.storm_drivers import Local as House
from tests.chaos.storm_drivers import awake, command, end, family
from tests.support.killable_jobs import (
    PATIENCE,
    configuration,
    fitting,
    none_alive,
    overlapping,
    result,
    undisturbed,
    until,
)


def workers() -> list[psutil.Process]:
    """Living workers of this process, frozen ones and starting ones too."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in command(child):
                found.append(child)
    return found


def another(than: list[psutil.Process]) -> psutil.Process:
    """A worker that is not among those."""
    found: list[psutil.Process] = until(lambda: [w for w in workers() if w not in than])
    return found[0]


@pytest.fixture
def ended() -> Iterator[list[psutil.Process]]:
    """Processes that are gone at the end, whatever a test comes to."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        end(process.pid)


@pytest.mark.long
@pytest.mark.timeout(90)
def test_a_worker_that_froze_while_it_started_does_not_keep_a_cluster_open(
    ended: list[psutil.Process],
) -> None:
    with Local(n_workers=2).open():
        first, second = workers()
        first.kill()
        new = another([first, second])
        ended.append(new)
        new.suspend()
        second.kill()
        ended.append(another([first, second, new]))
    assert none_alive(ended)


@pytest.mark.long
def test_a_worker_that_does_not_come_to_start_is_made_anew(
    ended: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nanny, "START", 8.0)
    with Local(n_workers=1).open() as client:
        (first,) = workers()
        first.kill()
        new = another([first])
        ended.append(new)
        new.suspend()
        until(lambda: none_alive([new]))
        client.wait_for_workers(1, timeout=PATIENCE)
        assert DaskEngine(client).map_reduce(ones, range(9))["n"] == 9


@pytest.mark.long
def test_a_worker_that_starts_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes: on a busy machine its imports take longer than any time that one could name.

    Dask would give a worker up that is not back in 15 s, and its nanny with it.
    """
    short = dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"})
    with short, Local(n_workers=1).open() as client:
        monkeypatch.setattr(nanny, "START", 3.0)
        (first,) = workers()
        first.kill()
        another([first])
        client.wait_for_workers(1, timeout=PATIENCE)
        assert DaskEngine(client).map_reduce(ones, range(9))["n"] == 9


@pytest.mark.long
def test_a_new_worker_is_ready_when_it_is_given_blocks() -> None:
    with Local(n_workers=1).open() as client:
        (first,) = workers()
        first.kill()
        another([first])
        client.wait_for_workers(1, timeout=PATIENCE)
        for loaded in client.run(modules).values():
            assert set(nanny.TASKS) <= set(loaded)


def modules() -> list[str]:
    return sorted(sys.modules)


def ones(block: int) -> Sums:
    return Sums({"n": np.ones(())})


@pytest.mark.long
def test_all_workers_frozen_for_good_are_replaced(
    ended: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nanny, "FROZEN", 2.0)
    with Local(n_workers=2).open() as client:
        engine = DaskEngine(client)  # whose own patience is ten minutes
        ended += workers()
        for worker in ended:
            worker.suspend()
        assert engine.map_reduce(ones, range(9))["n"] == 9
        assert none_alive(ended)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlapping(tmp_path_factory.mktemp("data") / "x.zarr")


@pytest.mark.long
def test_a_frozen_worker_ends_with_its_killed_driver(data: Path, tmp_path: Path) -> None:
    house = House(tmp_path)
    with fitting(configuration(data, tmp_path, "full", cluster=house.cluster), tmp_path) as fit:
        fit.reach("planned")
        started = family(fit.process.pid)
        assert ACTS["freeze a worker for good"](house, fit, random.Random(0))
        fit.kill()
        until(lambda: none_alive(started), 60)


@pytest.fixture
def busy() -> Iterator[None]:
    """Two processes that compute beside the test."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_worker_frozen_for_good_is_replaced_beside_other_work(
    data: Path, tmp_path: Path, busy: None
) -> None:
    config = configuration(data, tmp_path, "full", cluster={"kind": "local", "n_workers": 2})
    wanted = undisturbed(configuration(data, tmp_path, "full", "wanted"), tmp_path)
    with fitting(config, tmp_path) as fit:
        fit.reach("saved")
        assert ACTS["freeze a worker for good"](House(tmp_path), fit, random.Random(0))
        frozen = time.monotonic()
        fit.reach("iterated")  # of the pass that perhaps was over by then
        fit.reach("saved")
        fit.reach("iterated")
        assert time.monotonic() - frozen < 2 * nanny.FROZEN
        assert fit.end() == 0, fit.errors
    assert not any("Traceback" in line for line in fit.errors)
    assert result(tmp_path / "r") == wanted


@pytest.mark.slow
@pytest.mark.parametrize("event", ["planned", "iterated", "saved"])
def test_a_worker_frozen_for_good_and_then_all_killed(
    event: str, data: Path, tmp_path: Path
) -> None:
    """What hung a storm once; the driver ends by itself, or says what to do."""
    wanted = undisturbed(configuration(data, tmp_path, "full", "wanted"), tmp_path)
    house = House(tmp_path)
    config: dict[str, Any] = configuration(data, tmp_path, "full", cluster=house.cluster)
    with fitting(config, tmp_path) as fit:
        fit.reach(event)
        rng = random.Random(0)
        assert ACTS["freeze a worker for good"](house, fit, rng)
        assert ACTS["kill all workers"](house, fit, rng)
        # Its successor, frozen before it is up.
        new = until(lambda: [w for w in house.workers(fit) if awake(w)])
        new[0].suspend()
        assert fit.end() in (0, LOST), fit.errors
    with fitting(config, tmp_path) as fit:
        assert fit.end() == 0, fit.errors
    assert result(tmp_path / "r") == wanted
