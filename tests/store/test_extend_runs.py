"""Runs that are extended, looked at before they have finished, or given another run's model."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.exceptions import ConvergenceWarning

import emdist
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import CheckpointError, ConfigError, NotFoundError, RunMismatchError
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.jobs.sweep import SweepJob
from emdist.settings.config import make_config
from emdist.store.places.location import Location


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)) + 1.5 * rng.integers(0, 3, (600, 1))
    zarr.create_array(path, shape=x.shape, chunks=(100, 3), dtype="f8")[:] = x
    return path


def values(data: Path, runs: Path, key: str = "r", **fit: Any) -> dict[str, Any]:
    extend = fit.pop("extend", False)
    return {
        "data": {"path": str(data), "block_size": "2400 B"},
        "model": {"name": fit.pop("name", "full"), "n_components": fit.pop("k", 3)},
        "fit": {"n_init": 2, "max_iter": 4, "tol": 0.0, **fit},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(runs), "key": key, "checkpoint_iterations": 1, "extend": extend},
    }


def complete(values: dict[str, Any]) -> None:
    with open_job(make_config(values)) as job:
        if isinstance(job, Job):
            job.complete()


def result(run: Path) -> dict[str, str]:
    files = [run / "final/model.safetensors", *sorted((run / "labels.zarr/labels").rglob("c/*"))]
    return {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


def segments(values: dict[str, Any], number: int) -> None:
    """A run that is left after so many segments."""
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.survey()
        for _ in range(number):
            job.segment()


@pytest.mark.long
@pytest.mark.parametrize("name", ["full", "kmeans"])
@pytest.mark.parametrize("n_init", [1, 3])
def test_a_finished_run_goes_on(name: str, n_init: int, data: Path, tmp_path: Path) -> None:
    same = {"name": name, "n_init": n_init, "k": 8 if name == "kmeans" else 3}
    complete(values(data, tmp_path, "wanted", max_iter=9, **same))
    complete(values(data, tmp_path, **same))
    before = result(tmp_path / "r")
    assert before != result(tmp_path / "wanted")
    longer = values(data, tmp_path, max_iter=9, **same)
    with pytest.raises(RunMismatchError, match=r"max_iter: 4 -> 9(.|\n)*--extend(.|\n)*run.extend"):
        complete(longer)
    assert result(tmp_path / "r") == before
    complete(values(data, tmp_path, max_iter=9, extend=True, **same))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")
    # Without asking again it is the run that it has become, and done.
    with open_job(make_config(longer)) as job:
        assert isinstance(job, dict)
    told = inspect(Location(str(tmp_path / "r")))
    assert [line.partition(": ")[2] for line in told["extended"]] == ["config.fit.max_iter: 4 -> 9"]
    assert told["config"]["fit"]["max_iter"] == 9


@pytest.mark.parametrize("done", [0, 1, 3])
def test_an_interrupted_run_goes_on(done: int, data: Path, tmp_path: Path) -> None:
    complete(values(data, tmp_path, "wanted", max_iter=9))
    segments(values(data, tmp_path), done)
    complete(values(data, tmp_path, max_iter=9, extend=True))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


@pytest.mark.long
def test_a_run_that_converged_goes_on_with_a_smaller_tol(data: Path, tmp_path: Path) -> None:
    complete(values(data, tmp_path, "wanted", max_iter=30))
    complete(values(data, tmp_path, max_iter=30, tol=1e-3))
    assert inspect(Location(str(tmp_path / "r")))["result"]["status"].startswith("converged")
    complete(values(data, tmp_path, max_iter=30, extend=True))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


def test_a_kill_after_the_record_was_changed_loses_nothing(data: Path, tmp_path: Path) -> None:
    complete(values(data, tmp_path, "wanted", max_iter=9))
    complete(values(data, tmp_path))
    with open_job(make_config(values(data, tmp_path, max_iter=9, extend=True))):
        pass  # the run is taken over and its record changed; nothing else is done
    told = inspect(Location(str(tmp_path / "r")))
    assert "result" not in told  # what lies in final/ is of before
    complete(values(data, tmp_path, max_iter=9))
    assert result(tmp_path / "r") == result(tmp_path / "wanted")


@pytest.mark.long
def test_a_sweep_goes_on(data: Path, tmp_path: Path) -> None:
    def sweep(key: str, **fit: Any) -> None:
        config = values(data, tmp_path, key, **fit) | {"sweep": {"n_components": [2, 3]}}
        with open_job(make_sweep_config(config)) as job:
            if isinstance(job, SweepJob):
                job.complete()

    sweep("wanted", max_iter=9)
    sweep("r")
    sweep("r", max_iter=9, extend=True)
    assert result(tmp_path / "r") == result(tmp_path / "wanted")
    for name in ("full-2", "full-3"):
        mine, theirs = (tmp_path / run / "models" / name for run in ("r", "wanted"))
        assert (mine / "model.safetensors").read_bytes() == (
            theirs / "model.safetensors"
        ).read_bytes()
    with pytest.raises(RunMismatchError, match=r"full-2: fit\.max_iter cannot become 5"):
        sweep("r", max_iter=5, extend=True)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (
            {"max_iter": 2},
            RunMismatchError,
            "max_iter cannot become 2, because 4 iterations are done",
        ),
        ({"tol": 100.0}, RunMismatchError, "tol cannot be raised so far"),
        ({"seed": 2, "max_iter": 9}, RunMismatchError, "fit.seed: 0 -> 2"),
        ({"key": "other"}, NotFoundError, "no run in .*other to extend"),
        ({"key": None}, ConfigError, "Set run.key to the name of the run"),
    ],
)
def test_what_cannot_be_extended_is_refused(
    change: dict[str, Any], error: type[Exception], told: str, data: Path, tmp_path: Path
) -> None:
    complete(values(data, tmp_path))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(error, match=told):
        complete(values(data, tmp_path, extend=True, **change))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_labels_that_others_wrote_stay(data: Path, tmp_path: Path) -> None:
    """Only the run's own labels of before are replaced."""
    complete(values(data, tmp_path))
    complete(values(data, tmp_path, "other", seed=5))
    shutil.rmtree(tmp_path / "r/labels.zarr")
    shutil.copytree(tmp_path / "other/labels.zarr", tmp_path / "r/labels.zarr")
    with pytest.raises(RunMismatchError, match="they are of another model or of other data"):
        complete(values(data, tmp_path, max_iter=9, extend=True))


# ---- before a run has finished


@pytest.mark.parametrize("name", ["full", "kmeans"])
def test_an_unfinished_run_is_loaded_as_it_stands(name: str, data: Path, tmp_path: Path) -> None:
    segments(values(data, tmp_path, name=name, k=5), 2)
    with pytest.warns(ConvergenceWarning, match="has not finished: this is its model after 2"):
        found = emdist.load(tmp_path / "r")
    assert found.converged_ is False
    assert found.n_iter_ == 2
    # The better of its two starts, as one that stops there.
    complete(values(data, tmp_path, "short", name=name, k=5, max_iter=2))
    wanted = emdist.load(tmp_path / "short")
    x = zarr.open_array(data, mode="r")[:]
    if name == "full":
        np.testing.assert_array_equal(found.means_, wanted.means_)
    assert set(found.predict(x)) <= set(range(5))
    found.set_params(max_iter=3)
    if name == "full":
        found.set_params(warm_start=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.fit(x)
        assert found.lower_bound_ > wanted.lower_bound_


def test_a_run_without_an_iteration_has_no_model(data: Path, tmp_path: Path) -> None:
    segments(values(data, tmp_path), 0)
    with pytest.raises(NotFoundError, match="has not finished"):
        emdist.load(tmp_path / "r")


# ---- another run's model


def test_another_runs_model_is_not_taken_for_its_own(data: Path, tmp_path: Path) -> None:
    complete(values(data, tmp_path))
    complete(values(data, tmp_path, "other", seed=5))
    own = result(tmp_path / "r")
    shutil.rmtree(tmp_path / "r/final")
    shutil.copytree(tmp_path / "other/final", tmp_path / "r/final")
    place = Location(str(tmp_path / "r"))
    config = make_config(values(data, tmp_path))
    for use in (
        lambda: emdist.load(tmp_path / "r"),
        lambda: emdist.load(tmp_path / "r/final"),
        lambda: inspect(place, verify=True),
        lambda: label_data(place, config.data, Location(str(tmp_path / "l.zarr"))),
    ):
        with pytest.raises(CheckpointError, match="not the result of the run"):
            use()
    assert not (tmp_path / "l.zarr").exists()
    # Copied out of the run it is a model like any other.
    shutil.copytree(tmp_path / "r/final", tmp_path / "model")
    emdist.load(tmp_path / "model")
    complete(values(data, tmp_path))
    assert result(tmp_path / "r") == own
    emdist.load(tmp_path / "r")


def test_a_run_of_an_earlier_version_vouches_for_nothing(data: Path, tmp_path: Path) -> None:
    complete(values(data, tmp_path))
    file = tmp_path / "r/run.json"
    record = json.loads(file.read_text())
    assert record.pop("result") == {
        "final": hashlib.sha256((tmp_path / "r/final/model.safetensors").read_bytes()).hexdigest()
    }
    file.write_text(json.dumps(record))
    emdist.load(tmp_path / "r")
