"""A stream of runs: each goes on with the statistics of the one before (fit.from)."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.errors import ConfigError
from emdist.fit.events import Event, Warned
from emdist.jobs.records import load_fitted, load_latest, load_stream
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.places.location import Location

#: Rows of a day, and days.
ROWS, DAYS = 400, 4


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four days of rows of three clusters, far from zero, with another mean each day."""
    folder = tmp_path_factory.mktemp("days")
    rng = np.random.default_rng(3)
    places = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    found = []
    for day in range(DAYS):
        label = rng.choice(3, ROWS, p=[(0.5, 0.3, 0.2), (0.2, 0.3, 0.5)][day % 2])
        x = 1e4 + places[label] + rng.normal(size=(ROWS, 2))
        found.append(folder / f"day-{day}.zarr")
        zarr.create_array(found[-1], shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    return found


def values(data: Path, runs: Path, key: str, **fit: Any) -> dict[str, Any]:
    options = {"stream": True, "passes": 1, "groups": 2}
    name = fit.pop("name", "full")
    schedule = "minibatch" if name == "kmeans" else "stepwise"
    return {
        "data": {"path": str(data), "block_size": "1600 B"},
        "model": {"name": name, "n_components": 3},
        "fit": {"schedule": schedule, "schedule_options": options, **fit},
        "run": {"folder": str(runs), "key": key, "checkpoint_iterations": 1},
        "labels": {"write": False},
    }


def completed(config: dict[str, Any], listen: Any = lambda event: None) -> Path:
    with open_job(make_config(config), listen=listen) as job:
        assert not isinstance(job, dict)
        job.complete()
    return Path(config["run"]["folder"], config["run"]["key"])


def cut_after(config: dict[str, Any], stages: int) -> None:
    """Open a run, survey its rows, advance it: so many of these, and then an interrupt."""
    with suppress(KeyboardInterrupt), open_job(make_config(config)) as job:
        assert not isinstance(job, dict)
        if stages > 0:
            job.survey()
        if stages > 1:
            job.segment()
        raise KeyboardInterrupt


def groups_of(run: Path) -> int:
    place = Location(str(run))
    stream = load_stream(place, load_fitted(place)[0])
    assert stream is not None
    return int(stream.memory.groups)


def all_days(days: list[Path], runs: Path, name: str) -> list[Path]:
    done = [completed(values(days[0], runs, "0", name=name))]
    for day in range(1, DAYS):
        done.append(
            completed(values(days[day], runs, str(day), name=name, **{"from": str(done[-1])}))
        )
    return done


@pytest.mark.parametrize("name", ["full", "kmeans", "diagonal", "tied", "spherical"])
def test_statistics_and_steps_go_on_from_run_to_run(
    name: str, days: list[Path], tmp_path: Path
) -> None:
    done = all_days(days, tmp_path, name)
    assert [groups_of(run) for run in done] == [2, 4, 6, 8]
    origins = {load_fitted(Location(str(run)))[1].spread.origin.tobytes() for run in done}
    assert len(origins) == 1, "sums of different origins cannot be added"
    model = emdist.load(str(done[-1]))
    assert not model.converged_
    found = model.cluster_centers_ if name == "kmeans" else model.means_
    wanted = 1e4 + np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    near = np.abs(found[:, None] - wanted).max(axis=2)
    assert near.min(axis=0).max() < 0.4


def test_minibatches_are_the_means_of_all_rows_that_a_centre_was_given(
    days: list[Path], tmp_path: Path
) -> None:
    done = all_days(days, tmp_path, "kmeans")
    centres = emdist.load(str(done[-1])).cluster_centers_
    x = np.concatenate([zarr.open_array(day)[:] for day in days])
    labels = ((x[:, None] - centres) ** 2).sum(2).argmin(1)
    # Few rows have changed their cluster meanwhile, because the clusters are far apart.
    means = np.array([x[labels == i].mean(axis=0) for i in range(3)])
    assert np.abs(means - centres).max() < 0.05
    alone = emdist.load(str(completed(values(days[-1], tmp_path, "alone", name="kmeans"))))
    order = ((centres[:, None] - alone.cluster_centers_) ** 2).sum(2).argmin(1)
    last = np.abs(means - alone.cluster_centers_[order]).max()
    assert last > np.abs(means - centres).max(), "the rows before were forgotten"


@pytest.mark.parametrize("name", ["full", "kmeans"])
def test_a_killed_run_goes_on_with_the_same_bits(
    name: str, days: list[Path], tmp_path: Path
) -> None:
    first = completed(values(days[0], tmp_path, "0", name=name))
    last = {"from": str(first), "name": name}
    whole = completed(values(days[1], tmp_path, "whole", **last))
    cut = values(days[1], tmp_path, "cut", **last)
    for stages in (0, 1, 2):
        cut_after(cut, stages)
    again = completed(cut)
    assert (again / "final/model.safetensors").read_bytes() == (
        whole / "final/model.safetensors"
    ).read_bytes()


def test_a_run_keeps_what_it_goes_on_with(days: list[Path], tmp_path: Path) -> None:
    first = completed(values(days[0], tmp_path, "0"))
    cut = values(days[1], tmp_path, "cut", **{"from": "latest:"})
    cut["fit"]["schedule_options"]["passes"] = 2
    cut_after(cut, 2)
    # While it runs, its parameters are shown about the origin of the stream.
    found = load_latest(Location(str(tmp_path / "cut")))
    wanted = load_fitted(Location(str(first)))[1].spread.origin
    assert found is not None
    assert np.array_equal(found[1].spread.origin, wanted)
    shutil.rmtree(first)
    assert groups_of(completed(cut)) == 6


def test_a_model_of_no_stream_is_told(days: list[Path], tmp_path: Path) -> None:
    plain = values(days[0], tmp_path, "plain")
    plain["fit"] = {"max_iter": 3}
    first = completed(plain)
    config = values(days[1], tmp_path, "next", **{"from": str(first)})
    told: list[Event] = []
    assert groups_of(completed(config, told.append)) == 2
    assert any("statistics start anew" in e.message for e in told if isinstance(e, Warned))


def test_without_the_option_batch_iterations_follow(days: list[Path], tmp_path: Path) -> None:
    first = completed(values(days[0], tmp_path, "0"))
    config = values(days[1], tmp_path, "batch", **{"from": str(first)})
    config["fit"]["schedule_options"] = {"passes": 1, "groups": 2}
    run = completed(config)
    assert load_stream(Location(str(run)), load_fitted(Location(str(run)))[0]) is None


def test_other_stop_rules_add_no_pass_to_a_stream(days: list[Path], tmp_path: Path) -> None:
    config = values(days[0], tmp_path, "0")
    before = (completed(config) / "final/model.safetensors").read_bytes()
    config["fit"]["max_iter"] = 500
    config["run"]["extend"] = True
    run = completed(config)
    assert (run / "final/model.safetensors").read_bytes() == before
    assert groups_of(run) == 2


def test_restarts_are_refused(days: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_init"):
        completed(values(days[0], tmp_path, "0", n_init=3))
