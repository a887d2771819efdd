"""Two processes and one run: who is at work, and what `run.if_running` makes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.errors import RunFencedError, SkippedError
from emdist.fit.events import Began, Event
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.places.files import Folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs import liveness, owners
from emdist.store.runs.liveness import Found, OwnerWatch
from tests.store.test_extend_runs import complete, result, values
from tests.support.killable_jobs import until


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    x = np.random.default_rng(0).normal(size=(600, 3))
    zarr.create_array(path, shape=x.shape, chunks=(100, 3), dtype="f8")[:] = x
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats that a test need not wait for."""
    monkeypatch.setattr(liveness, "EVERY", 0.02)
    monkeypatch.setattr(liveness, "LOOK", 0.005)


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A run's folder: of a file system, and of an object store."""
    if request.param == "memory":
        pytest.importorskip("obstore")
        return open_folder(Location(f"memory://turns/{tmp_path.name}"))
    return open_folder(Location(str(tmp_path / "r")))


class Clock:
    def __init__(self) -> None:
        self.now = 5e8

    def __call__(self) -> float:
        return self.now


def elsewhere(folder: Folder, epoch: int) -> None:
    """Make the owner one of another machine, whose clock is years ahead."""
    name = f"owners/{epoch:08d}.json"
    stored = json.loads(folder.read(name)) | {"machine": "0" * 8, "time": "2099-01-01T00:00:00Z"}
    folder.write(name, json.dumps(stored).encode())


def beat(folder: Folder, epoch: int, count: int) -> None:
    folder.write(f"owners/{epoch:08d}.beat", b"%d" % count)


def test_nobody_owns_a_new_run(folder: Folder) -> None:
    assert OwnerWatch(folder).look() is Found.FREE


def test_an_owner_is_at_work_while_its_beat_changes(folder: Folder) -> None:
    epoch, clock = owners.claim(folder), Clock()
    elsewhere(folder, epoch)
    beat(folder, epoch, 1)
    watch = OwnerWatch(folder, clock)
    # One look cannot tell a beat of now from one of last year.
    assert watch.look() is Found.UNKNOWN
    clock.now += 5
    assert watch.look() is Found.UNKNOWN
    beat(folder, epoch, 2)
    assert watch.look() is Found.AT_WORK
    clock.now += liveness.SILENCE - 1
    assert watch.look() is Found.AT_WORK
    beat(folder, epoch, 3)
    clock.now += liveness.SILENCE + 1
    assert watch.look() is Found.AT_WORK
    clock.now += liveness.SILENCE
    assert watch.look() is Found.FREE


@pytest.mark.parametrize("beats", [0, 1])
def test_a_dead_owner_of_another_machine_blocks_for_a_minute(folder: Folder, beats: int) -> None:
    """Also one that was killed before its first beat, or is of an earlier version."""
    epoch, clock = owners.claim(folder), Clock()
    elsewhere(folder, epoch)
    if beats:
        beat(folder, epoch, 1)
    watch = OwnerWatch(folder, clock)
    assert watch.look() is Found.UNKNOWN
    clock.now += liveness.SILENCE - 1
    assert watch.look() is Found.UNKNOWN
    clock.now += 1
    assert watch.look() is Found.FREE
    assert owners.claim_after(folder, watch.epoch) == epoch + 1


def test_an_owner_that_says_that_it_ended_is_free_at_once(folder: Folder, quick: None) -> None:
    epoch = owners.claim(folder)
    with liveness.beating(folder, epoch):
        watch = OwnerWatch(folder)
        until(lambda: watch.look() is Found.AT_WORK)
    assert OwnerWatch(folder).look() is Found.FREE
    assert [name for name in folder.list("owners") if name.endswith(".beat")] == []


def test_one_of_two_that_wait_gets_the_run(folder: Folder) -> None:
    clock = Clock()
    epoch = owners.claim(folder)
    owners.release(folder, epoch)
    first, second = OwnerWatch(folder, clock), OwnerWatch(folder, clock)
    assert first.look() is second.look() is Found.FREE
    assert owners.claim_after(folder, first.epoch) == epoch + 1
    assert owners.claim_after(folder, second.epoch) is None
    # Its owner is this process, which has not ended.
    assert second.look() is Found.UNKNOWN


# ---- runs


def config(data: Path, runs: Path, if_running: str) -> dict[str, Any]:
    found = values(data, runs, "r", n_init=1)
    found["run"]["if_running"] = if_running
    return found


@contextmanager
def at_work(values: dict[str, Any]) -> Iterator[Job[Any, Any]]:
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
        yield job


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_skip_does_nothing_while_another_is_at_work(
    data: Path, tmp_path: Path, quick: None
) -> None:
    skip = config(data, tmp_path, "skip")
    with at_work(skip) as job:
        before = sorted((tmp_path / "r/owners").glob("*.json"))
        with pytest.raises(SkippedError, match=r"is working on .*pid.* run\.if_running is 'skip'"):
            complete(skip)
        assert sorted((tmp_path / "r/owners").glob("*.json")) == before
        job.complete()
    complete(values(data, tmp_path, "wanted", n_init=1))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


def test_skip_continues_a_run_that_nobody_is_working_on(
    data: Path, tmp_path: Path, quick: None
) -> None:
    skip = config(data, tmp_path, "skip")
    with at_work(skip):
        pass
    complete(skip)
    complete(values(data, tmp_path, "wanted", n_init=1))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


@pytest.mark.parametrize("finishes", [True, False])
def test_wait_shows_what_the_other_finished_or_continues_it(
    data: Path, tmp_path: Path, quick: None, finishes: bool
) -> None:
    told: list[Event] = []
    found: list[Any] = []

    def wait() -> None:
        with open_job(make_config(config(data, tmp_path, "wait")), listen=told.append) as job:
            found.append(job if isinstance(job, dict) else job.complete())

    with at_work(config(data, tmp_path, "take_over")) as job:
        waiting = started(wait)
        until(lambda: any("is working on" in one.note for one in told if isinstance(one, Began)))
        assert not found
        if finishes:
            job.complete()
    waiting.join(60)
    assert isinstance(found[0], dict) is finishes
    notes = [one.note for one in told if isinstance(one, Began) and one.stage == "wait"]
    assert any("newest checkpoint is number" in note for note in notes)
    complete(values(data, tmp_path, "wanted", n_init=1))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


def test_take_over_stops_the_other(data: Path, tmp_path: Path) -> None:
    with at_work(config(data, tmp_path, "skip")) as job:
        complete(config(data, tmp_path, "take_over"))
        with pytest.raises(RunFencedError, match="taken over"):
            job.complete()


def test_what_to_do_is_no_part_of_a_run(data: Path, tmp_path: Path) -> None:
    first, second = (make_config(config(data, tmp_path, how)) for how in ("wait", "skip"))
    assert first.identity() == second.identity()
