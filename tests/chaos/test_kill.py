"""SIGKILL at any moment, start again: the bits of a run that was never killed."""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
import yaml

from emdist.fit.events import Event, Iterated
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.store.test_grids import ocean
from tests.support.killable_jobs import (
    configuration,
    fitting,
    none_alive,
    overlapping,
    result,
    undisturbed,
    until,
)
from tests.support.paths import environment, module

MODELS = ("kmeans", "full", "hmm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: what a kill leaves does not depend on fsync."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlapping(tmp_path_factory.mktemp("data") / "x.zarr")


@pytest.fixture(scope="module")
def wanted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The result of an undisturbed run, per model."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {m: undisturbed(configuration(data, folder, m, m), folder) for m in MODELS}


def kill_and_restart(config: dict[str, Any], folder: Path, seed: int, kills: int) -> dict[str, int]:
    """Kill after a random number of events and a random moment, `kills` times; then let it end."""
    rng = random.Random(seed)
    where: collections.Counter[str] = collections.Counter()
    for _ in range(kills):
        with fitting(config, folder) as fit:
            for _ in range(rng.choice([0, 3, 20, 25, 30, 45])):
                if fit.event() is None:
                    break
            # A moment, not a wait: between two events lie reading, computing and saving.
            time.sleep(rng.random() * rng.choice([0.002, 0.02, 0.2]))
            code = fit.process.poll()
            fit.kill()
            where["finished" if code == 0 else fit.stage] += 1
            assert code in (None, 0), fit.errors
    with fitting(config, folder) as fit:
        assert fit.end() == 0, fit.errors
    return dict(where)


@pytest.mark.parametrize("model", ["full", "hmm", pytest.param("kmeans", marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    model: str, data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    where = kill_and_restart(configuration(data, tmp_path, model), tmp_path, 1, 5)
    print(f"killed in {where}")
    assert result(tmp_path / "r") == wanted[model]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.timeout(600)
def test_killed_at_many_random_moments(
    seed: int, model: str, data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    where = kill_and_restart(configuration(data, tmp_path, model), tmp_path, 100 + seed, 20)
    print(f"killed in {where}")
    assert result(tmp_path / "r") == wanted[model]


def kill_points(folder: Path, model: str, count: int, seed: int) -> dict[str, Any]:
    """Run tests.chaos.kill_points: kills before chosen changes of the file system."""
    data = overlapping(folder / "x.zarr", rows=3000, features=3, clusters=3)
    config = configuration(data, folder / "runs", model, cluster={"kind": "threads", "threads": 1})
    config["data"]["block_size"] = "30000 B"
    config["fit"]["max_iter"] = 3
    config["model"]["n_components"] = 3
    return killed_at_points(config, folder, count, seed)


def killed_at_points(config: dict[str, Any], folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Run tests.chaos.kill_points with a configuration."""
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [*module("tests.chaos.kill_points"), str(folder / "c.yaml"), str(count), str(seed)],
        env=environment(), capture_output=True, text=True,
        timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_killed_before_a_change_of_the_file_system(tmp_path: Path) -> None:
    found = kill_points(tmp_path, "full", 8, 5)
    print(found["changes"], "steps,", found["kills"], "kills")
    assert found["changes"] > 120
    assert found["kills"] >= 10
    assert found["wrong"] == []


@pytest.mark.long
def test_labels_on_a_grid_are_killed_before_a_change_of_the_file_system(tmp_path: Path) -> None:
    ocean().to_zarr(tmp_path / "o.zarr", consolidated=False, zarr_format=3)
    config = configuration(
        tmp_path / "o.zarr",
        tmp_path / "runs",
        "diagonal",
        cluster={"kind": "threads", "threads": 1},
    )
    config["data"] |= {"variables": ["TEMP", "PSAL"], "features": ["depth"], "non_finite": "drop"}
    config["data"]["block_size"] = "30000 B"
    config["fit"] |= {"max_iter": 1, "n_init": 1}
    config["model"]["n_components"] = 2
    config["labels"] = {"outputs": ["labels", "probability"]}
    found = killed_at_points(config, tmp_path, 12, 7)
    print(found["changes"], "steps,", found["kills"], "kills")
    assert found["kills"] >= 12
    assert found["wrong"] == []


@pytest.mark.slow
@pytest.mark.timeout(1600)
@pytest.mark.parametrize("model", MODELS)
def test_killed_before_every_change_of_the_file_system(model: str, tmp_path: Path) -> None:
    found = kill_points(tmp_path, model, 0, 6)
    print(found["changes"], "steps,", found["kills"], "kills")
    assert found["kills"] >= found["changes"]
    assert found["wrong"] == []


@pytest.mark.long
def test_a_torn_newest_checkpoint(
    data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    config = configuration(data, tmp_path, "full")
    with fitting(config, tmp_path) as fit:
        fit.reach("saved", 4)
        fit.kill()
    newest = max((tmp_path / "r/ckpt").glob("[0-9]*"))
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with fitting(config, tmp_path) as fit:
        assert fit.end() == 0, fit.errors
    assert any(f"skipping the checkpoint ckpt/{newest.name}" in line for line in fit.errors)
    assert result(tmp_path / "r") == wanted["full"]


@pytest.mark.long
def test_of_two_processes_the_older_is_fenced_off(
    data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    config = configuration(data, tmp_path, "kmeans")
    with fitting(config, tmp_path) as old:
        old.reach("saved", 3)
        old.process.send_signal(signal.SIGSTOP)  # as a suspended pod, or a lost network
        with fitting(config, tmp_path) as new:
            new.reach("saved", 2)
            old.process.send_signal(signal.SIGCONT)
            assert old.end() == 4
            assert new.end() == 0, new.errors
    told = [e for e in old.events if e["event"] == "error"]
    assert len(told) == 1
    assert "was taken over by epoch 2" in told[0]["message"]
    assert "Nothing is lost" in told[0]["message"]
    assert result(tmp_path / "r") == wanted["kmeans"]


@pytest.mark.long
def test_a_zombie_that_wakes_after_the_end_changes_nothing(
    data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    config = configuration(data, tmp_path, "full")
    with fitting(config, tmp_path) as old:
        old.reach("saved", 1)
        old.process.send_signal(signal.SIGSTOP)
        with fitting(config, tmp_path) as new:
            assert new.end() == 0, new.errors
        old.process.send_signal(signal.SIGCONT)
        assert old.end() == 4
    assert result(tmp_path / "r") == wanted["full"]


# ---- with a Dask cluster

DASK = {"kind": "local", "n_workers": 2}


@pytest.fixture(scope="module")
def killed_driver(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[psutil.Process], Path, list[str]]:
    """Workers of a driver that was killed twice, and the run that a third start finished."""
    folder = tmp_path_factory.mktemp("dask")
    # A killed driver cannot remove its workers' folder: here it goes with the test's.
    cluster = {**DASK, "local_directory": str(folder / "dask")}
    config = configuration(data, folder, "kmeans", cluster=cluster)
    started: list[psutil.Process] = []
    for event, times in (("progress", 2), ("saved", 3)):
        with fitting(config, folder) as fit:
            fit.reach(event, times)
            started += psutil.Process(fit.process.pid).children(recursive=True)
            fit.process.send_signal(signal.SIGKILL)
            fit.process.wait()
            until(partial(none_alive, started), 60)
    with fitting(config, folder) as fit:
        assert fit.end() == 0, fit.errors
    return started, folder / "r", fit.errors


@pytest.mark.long
def test_a_killed_driver_leaves_no_orphans_and_no_other_bits(
    killed_driver: tuple[list[psutil.Process], Path, list[str]],
    wanted: dict[str, dict[str, str]],
) -> None:
    started, run, _ = killed_driver
    names = [p.pid for p in started]
    assert len(names) >= 4, "two workers, twice"
    assert none_alive(started)
    assert result(run) == wanted["kmeans"]


@pytest.mark.long
def test_a_killed_worker_changes_no_bit(
    data: Path, tmp_path: Path, wanted: dict[str, dict[str, str]]
) -> None:
    import dask

    config = make_config(configuration(data, tmp_path, "full", cluster=DASK))
    victims: list[int] = []
    iterated = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Iterated) and event.record.iteration in (2, 5):
            job_now = running[0]
            engine: Any = job_now.run.plan.engine
            # The first victim may still be on the list of the scheduler.
            pids: dict[str, int] = engine.client.run(os.getpid, on_error="ignore")
            alive = {pid for pid in pids.values() if pid is not None}
            victims.append(min(alive - set(victims)))
            os.kill(victims[-1], signal.SIGKILL)
            iterated.set()

    running: list[Job] = []
    # Dask calls a worker that has just died for 30 s before it makes its results again.
    quick = dask.config.set({"distributed.comm.timeouts.connect": "2s"})
    with quick, open_job(config, listen=listen) as job:
        assert isinstance(job, Job)
        running.append(job)
        job.complete()
    assert iterated.is_set()
    assert len(victims) >= 2
    assert result(tmp_path / "r") == wanted["full"]


@pytest.mark.covering
@pytest.mark.parametrize(
    "cluster",
    [
        {"kind": "threads", "threads": 1},
        {"kind": "threads", "threads": 4},
        {"kind": "local", "n_workers": 1, "threads_per_worker": 2, "processes": False},
        {"kind": "local", "n_workers": 2},
    ],
    ids=lambda c: "-".join(map(str, c.values())),
)
@pytest.mark.parametrize("model", MODELS)
def test_every_engine_gives_the_same_bits(
    model: str,
    cluster: dict[str, Any],
    data: Path,
    tmp_path: Path,
    wanted: dict[str, dict[str, str]],
) -> None:
    config = make_config(configuration(data, tmp_path, model, cluster=cluster))
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    assert result(tmp_path / "r") == wanted[model]
