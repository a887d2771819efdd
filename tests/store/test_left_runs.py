"""What runs leave that failed or were killed: who may have the folder, and what is removed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import (
    CheckpointError,
    NonFiniteError,
    RunFencedError,
    RunMismatchError,
)
from emdist.fit.events import Event, Warned
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.places.processes import Process, this_process
from emdist.store.runs.owners import release
from tests.store.test_extend_runs import complete, result, values


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One row is NaN."""
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    x = np.random.default_rng(0).normal(size=(600, 3))
    x[450] = np.nan
    zarr.create_array(path, shape=x.shape, chunks=(100, 3), dtype="f8")[:] = x
    return path


def good(data: Path, runs: Path, key: str = "r", **fit: Any) -> dict[str, Any]:
    found = values(data, runs, key, n_init=1, **fit)
    found["data"]["non_finite"] = "drop"
    return found


def bad(data: Path, runs: Path) -> dict[str, Any]:
    return values(data, runs)


def in_a_child(work: Callable[[], None]) -> int:
    """Do `work` in a process that is killed after it, without any clean-up; its number."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def surveyed(config: dict[str, Any]) -> None:
    with open_job(make_config(config)) as job:
        assert isinstance(job, Job)
        job.survey()
        os._exit(0)


def owner(run: Path) -> Path:
    return sorted((run / "owners").iterdir())[-1]


def test_a_run_that_failed_leaves_its_folder_to_the_corrected_one(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteError):
        complete(bad(data, tmp_path))
    told: list[Event] = []
    with open_job(make_config(good(data, tmp_path)), listen=told.append) as job:
        assert isinstance(job, Job)
        job.complete()
    warned = [event.message for event in told if isinstance(event, Warned)]
    assert any("ended before its first checkpoint" in message for message in warned)
    complete(good(data, tmp_path, "wanted"))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")
    record = json.loads((tmp_path / "r/run.json").read_text())
    assert record["config"]["data"]["non_finite"] == "drop"


def test_a_run_that_was_killed_in_its_survey_leaves_its_folder(data: Path, tmp_path: Path) -> None:
    """With a survey that is of another configuration."""
    in_a_child(lambda: surveyed(good(data, tmp_path, seed=1)))
    assert list((tmp_path / "r/survey").iterdir())
    complete(good(data, tmp_path))
    complete(good(data, tmp_path, "wanted"))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


def test_a_run_that_is_at_work_keeps_its_folder(data: Path, tmp_path: Path) -> None:
    with open_job(make_config(good(data, tmp_path))) as job:
        assert isinstance(job, Job)
        job.survey()
        with pytest.raises(RunMismatchError, match=r"fit\.seed: 0 -> 1"):
            complete(good(data, tmp_path, seed=1))
        job.complete()


def test_a_run_of_another_machine_keeps_its_folder(data: Path, tmp_path: Path) -> None:
    in_a_child(lambda: surveyed(good(data, tmp_path)))
    file = owner(tmp_path / "r")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": "0" * 8}))
    with pytest.raises(RunMismatchError):
        complete(good(data, tmp_path, seed=1))


def test_whoever_lost_the_folder_is_fenced_off(data: Path, tmp_path: Path) -> None:
    with open_job(make_config(good(data, tmp_path))) as job:
        assert isinstance(job, Job)
        job.survey()
        release(
            job.run.folder.folder, job.run.epoch
        )  # as if it had failed: it goes on all the same
        complete(good(data, tmp_path, seed=1))
        with pytest.raises(RunFencedError):
            job.complete()
    complete(good(data, tmp_path, "wanted", seed=1))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


def test_a_run_with_a_checkpoint_keeps_its_folder(data: Path, tmp_path: Path) -> None:
    with open_job(make_config(good(data, tmp_path))) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
    with pytest.raises(RunMismatchError):
        complete(good(data, tmp_path, seed=1))


# ---- temporary files


def test_what_killed_writers_left_is_removed_at_the_next_start(data: Path, tmp_path: Path) -> None:
    complete(good(data, tmp_path))
    run, me = tmp_path / "r", this_process()
    dead = in_a_child(lambda: None)
    gone = [
        run / f"final/.tmp-{me.machine}-{dead}-1-0011aabb",
        run / f"survey/.tmp-{me.machine}-{dead}-1-0011aabb",
        run / f"final/.tmp-{me.machine}-{me.pid}-{me.began + 1}-0011aabb",  # its number is mine now
    ]
    kept = [
        run / f"final/.tmp-{me.machine}-{me.pid}-{me.began}-0011aabb",
        run / f"survey/.tmp-00000000-{dead}-1-0011aabb",
        run / f"survey/.tmp-{dead}-0011aabb",  # of an earlier version
    ]
    for path in (*gone, *kept):
        path.mkdir()
        (path / "state.safetensors").write_bytes(b"torn")
    # A finished run is only looked at: whoever goes on with it removes what is left.
    (run / "summary.json").unlink()
    complete(good(data, tmp_path))
    assert [path.exists() for path in gone] == [False] * 3
    assert [path.exists() for path in kept] == [True] * 3


def test_processes_are_told_apart() -> None:
    me = this_process()
    assert not me.has_ended()
    assert Process(me.machine, me.pid, me.began + 1).has_ended()
    assert Process(me.machine, in_a_child(lambda: None), 1).has_ended()
    assert not Process("", in_a_child(lambda: None), 1).has_ended()
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    other = Process(me.machine, pid, 0)
    os.kill(pid, 9)
    while not other.has_ended():  # a zombie: nobody has asked for it
        time.sleep(0.001)
    os.waitpid(pid, 0)


# ---- links


@pytest.mark.parametrize("name", ["labels.zarr", "final", "survey", "ckpt", "owners", "run.json"])
def test_a_link_within_a_run_is_not_followed(name: str, data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    complete(good(data, tmp_path, "other"))
    complete(good(data, tmp_path))
    run = tmp_path / "r"
    (run / name).rename(outside)
    (run / name).symlink_to(outside)
    (run / "summary.json").unlink()
    before = {p: p.read_bytes() for p in tmp_path.glob("outside/**/*") if p.is_file()}
    with pytest.raises(CheckpointError, match="symbolic link"):
        complete(good(data, tmp_path))
    assert {p: p.read_bytes() for p in tmp_path.glob("outside/**/*") if p.is_file()} == before


def test_a_link_for_a_model_of_a_sweep_is_not_followed(data: Path, tmp_path: Path) -> None:
    config = good(data, tmp_path) | {"sweep": {"n_components": [2, 3]}}
    (tmp_path / "outside").mkdir()
    with open_job(make_sweep_config(config)) as job:
        assert not isinstance(job, dict)
        (tmp_path / "r/models").symlink_to(tmp_path / "outside")
        with pytest.raises(CheckpointError, match="symbolic link"):
            job.complete()
    assert list((tmp_path / "outside").iterdir()) == []


def test_links_that_the_user_names_are_followed(data: Path, tmp_path: Path) -> None:
    """A run, or labels with a path of their own, on another disk."""
    for name in ("disk", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "disk")
    (tmp_path / "labels").symlink_to(tmp_path / "more")
    config = good(data, tmp_path)
    config["labels"] = {"path": str(tmp_path / "labels")}
    complete(config)
    assert (tmp_path / "disk/final/model.json").exists()
    assert (tmp_path / "more/zarr.json").exists()
    assert open_folder(Location(str(tmp_path / "r"))).exists("summary.json")
