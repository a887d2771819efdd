"""Runs that prepare rows: what is learned is stored, resumed, applied to new data and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import emdist
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import CheckpointError, ConfigError, FeatureNamesError, RunMismatchError
from emdist.fit.events import Event, Progress, Warned
from emdist.interfaces import Array
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.repeat import repeat, repetition
from emdist.jobs.run import open_job
from emdist.report.inspection import page_of_inspection
from emdist.settings.config import NewDataSection, make_config
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from tests.chaos.test_kill import kill_and_restart
from tests.support.killable_jobs import configuration, overlapping, result, undisturbed

STEPS: list[Any] = ["standardise", {"pca": 3}]
NAMES = ["a", "b", "c", "d", "e", "f"]


class Cut(Exception):  # noqa: N818  what a killed process does not survive
    """Ends a run in the middle."""


def rows() -> Array:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 4, (3, 6))
    x = centres[rng.integers(0, 3, 3000)] + rng.normal(size=(3000, 6))
    return (x * 10.0 ** np.arange(6) + 50).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    array = zarr.create_array(tmp_path / "x.zarr", shape=(3000, 6), chunks=(300, 6), dtype="f4")
    array[:] = rows()
    array.attrs["feature_names"] = NAMES
    return tmp_path / "x.zarr"


def values(data: Path, key: str = "r", **more: Any) -> dict[str, Any]:
    return {
        "data": {"path": str(data), "block_size": "8 kB"},
        "prepare": STEPS,
        "model": {"name": "full", "n_components": 3},
        "fit": {"max_iter": 30, "tol": 1e-6, "seed": 1},
        "cluster": {"kind": "threads", "threads": 2},
        "run": {"folder": str(data.parent / "runs"), "key": key, "checkpoint_iterations": 1},
        **more,
    }


def done(config: dict[str, Any], listen: Any = lambda event: None) -> Any:
    with open_job(make_config(config), listen=listen) as job:
        return job.complete() if isinstance(job, Job) else job


def digest(data: Path, key: str = "r") -> str:
    return read_model(Location(str(data.parent / "runs" / key))).sha256


def passes(seen: list[Event]) -> list[str]:
    begun = [one.what for one in seen if isinstance(one, Progress) and one.done == 0]
    return [what for what in begun if what in ("prepare", "survey")]


def test_a_run_is_the_fit_of_prepared_rows(data: Path) -> None:
    done(values(data))
    pipeline = StandardScaler().fit(rows().astype(np.float64))
    z = PCA(3).fit_transform(pipeline.transform(rows().astype(np.float64)))
    wanted = emdist.GaussianMixture(3, tol=1e-6, max_iter=30, random_state=1).fit(z)
    model = emdist.load(data.parent / "runs" / "r", emdist.GaussianMixture)
    np.testing.assert_allclose(np.sort(model.weights_), np.sort(wanted.weights_), atol=1e-3)
    assert abs(model.lower_bound_ - wanted.lower_bound_) < 1e-3
    labels = zarr.open_array(data.parent / "runs/r/labels.zarr/labels")[:]
    assert np.array_equal(labels, model.predict(data))
    assert model.n_features_in_ == 6
    assert model.means_.shape == (3, 3)
    assert list(model.feature_names_in_) == NAMES
    assert model.distribution(prepared=True).feature_names == ("pca0", "pca1", "pca2")
    with pytest.raises(ConfigError, match=r"by standardise, pca, .*distribution\(prepared=True"):
        model.distribution()
    with pytest.raises(ConfigError, match="that of prepared rows"):
        emdist.load_distribution(data.parent / "runs" / "r")


def test_means_are_shown_in_the_units_of_the_data(data: Path) -> None:
    summary = done(values(data))
    labels = zarr.open_array(data.parent / "runs/r/labels.zarr/labels")[:]
    for k, part in enumerate(summary.components):
        shown = np.array([part["means"][name] for name in NAMES])
        spread = rows().std(axis=0)
        # Three components of six lose a little of each mean.
        assert (np.abs(shown - rows()[labels == k].mean(axis=0)) < spread).all()
    page = summary.to_page().to_markdown()
    assert "| prepared | standardise, pca (components: 3) |" in page
    assert "| means | of prepared rows, moved back in the units of the data |" in page
    told = inspect(Location(str(data.parent / "runs/r")))
    assert told["result"]["features"] == 6
    assert told["result"]["prepared_features"] == 3
    assert "config.prepare | standardise, pca" in page_of_inspection(told).to_markdown()
    assert json.loads(json.dumps(told["config"]["prepare"])) == [
        "standardise", {"pca": {"components": 3}}
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["prepare", "survey", "fit"])
def test_a_run_that_is_cut_off_resumes_with_the_same_bits(data: Path, place: str) -> None:
    done(values(data, "whole"))
    seen: list[Event] = []

    def cutting(event: Event) -> None:
        seen.append(event)
        iterated = place == "fit" and type(event).__name__ == "Iterated"
        begun = isinstance(event, Progress) and event.what == place and event.done >= 2
        if iterated or begun:
            raise Cut

    with pytest.raises(Cut):
        done(values(data), cutting)
    again: list[Event] = []
    done(values(data), again.append)
    assert (
        passes(again) == {"prepare": ["prepare", "survey"], "survey": ["survey"], "fit": []}[place]
    )
    assert digest(data) == digest(data, "whole")


def test_data_written_between_learning_and_survey_are_learned_again(data: Path) -> None:
    def cutting(event: Event) -> None:
        if isinstance(event, Progress) and event.what == "survey":
            raise Cut

    with pytest.raises(Cut):
        done(values(data), cutting)
    zarr.open_array(data, mode="r+")[:] = rows()  # the same bytes, at another time
    seen: list[Event] = []
    done(values(data), seen.append)
    assert passes(seen) == ["prepare", "survey"]


@pytest.mark.parametrize("cluster", [{"threads": 1}, {"threads": 3}])
def test_threads_change_no_bit(data: Path, cluster: dict[str, Any]) -> None:
    done(values(data))
    done(values(data, "other", cluster={"kind": "threads", **cluster}))
    assert digest(data) == digest(data, "other")


@pytest.mark.long
def test_a_dask_cluster_changes_no_bit(data: Path) -> None:
    done(values(data))
    done(values(data, "other", cluster={"kind": "local", "n_workers": 2}))
    assert digest(data) == digest(data, "other")


def test_kept_blocks_change_no_bit(data: Path) -> None:
    done(values(data))
    memory = {"kind": "threads", "threads": 2, "memory": "2 GiB"}
    done(values(data, "other", cluster=memory))
    assert digest(data) == digest(data, "other")


def test_new_data_are_prepared_before_they_are_labelled(data: Path) -> None:
    done(values(data))
    run, out = Location(str(data.parent / "runs/r")), Location(str(data.parent / "out.zarr"))
    label_data(run, NewDataSection(path=str(data)), out)
    found = zarr.open_array(data.parent / "out.zarr/labels")[:]
    assert np.array_equal(found, zarr.open_array(data.parent / "runs/r/labels.zarr/labels")[:])
    other = zarr.create_array(data.parent / "y.zarr", shape=(300, 6), dtype="f4")
    other[:] = rows()[:300, ::-1]
    other.attrs["feature_names"] = NAMES[::-1]
    with pytest.raises(FeatureNamesError, match="in another order"):
        label_data(run, NewDataSection(path=str(data.parent / "y.zarr")), out)


def test_steps_are_part_of_what_a_run_is(data: Path) -> None:
    done(values(data))
    with pytest.raises(RunMismatchError, match="prepare"):
        done(values(data, prepare=["standardise"]))
    plain, empty = (make_config({**values(data), "prepare": one}) for one in ([], None))
    assert "prepare" not in plain.identity()
    assert plain.identity() == empty.identity()
    forms = ({"pca": 3}, {"pca": {"components": 3, "whiten": False}})
    short, whole = (make_config({**values(data), "prepare": [one]}) for one in forms)
    assert short.identity() == whole.identity()


def test_a_run_is_repeated_and_extended(data: Path) -> None:
    done(values(data, fit={"max_iter": 2, "tol": 1e-9, "seed": 1}))
    run = Location(str(data.parent / "runs/r"))
    assert repeat(run, repetition(run, {}))["same_bits"]
    with pytest.raises(ConfigError, match="takes the steps of prepare from the run"):
        repetition(run, {"prepare": ["log1p"]})
    longer = {"max_iter": 5, "tol": 1e-9, "seed": 1}
    done(values(data, "whole", fit=longer))
    extended = values(data, fit=longer)
    extended["run"] |= {"extend": True}
    seen: list[Event] = []
    done(extended, seen.append)
    assert passes(seen) == []
    assert digest(data) == digest(data, "whole")


def test_an_unfinished_run_can_be_loaded(data: Path) -> None:
    def cutting(event: Event) -> None:
        if type(event).__name__ == "Saved":
            raise Cut

    with pytest.raises(Cut):
        done(values(data), cutting)
    with pytest.warns(match="has not finished"):
        model = emdist.load(data.parent / "runs/r")
    assert model.predict(data).shape == (3000,)
    assert model.preparation_.config() == ["standardise", {"pca": {"components": 3}}]  # type: ignore[union-attr]


def test_a_sweep_prepares_once_for_all_models(data: Path) -> None:
    config = {**values(data), "sweep": {"n_components": "1..4"}}
    seen: list[Event] = []
    with open_job(make_sweep_config(config), listen=seen.append) as job:
        assert isinstance(job, Job)
        summary = job.complete()
    assert passes(seen) == ["prepare", "survey"]
    assert summary.best == "full-3"
    assert "| prepared | standardise, pca (components: 3) |" in summary.to_page().to_markdown()
    alone = values(data, "alone")
    done(alone)
    folder = data.parent / "runs"
    one = emdist.load(folder / "r/models/full-3", emdist.GaussianMixture)
    other = emdist.load(folder / "alone", emdist.GaussianMixture)
    assert np.array_equal(one.means_, other.means_)


def test_a_model_whose_steps_are_damaged_is_refused(data: Path) -> None:
    from emdist.jobs.records import load_fitted, save_fitted

    done(values(data))
    section, fitted, _ = load_fitted(Location(str(data.parent / "runs/r")))
    made = fitted.preparation
    assert made is not None
    wrong = emdist.GaussianMixture(2, prepare=["standardise"]).fit(rows()[:, :5]).preparation_
    from dataclasses import replace

    place = Location(str(data.parent / "model"))
    save_fitted(place, section, replace(fitted, preparation=wrong), {})
    with pytest.raises(CheckpointError, match="make 5 features, and the model has 3"):
        load_fitted(place)


def test_the_command_line_takes_steps(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from emdist.cli.application import app

    run = str(data.parent / "runs" / "cli")
    arguments = ["fit", str(data), "-k", "3", "-m", "full", "--prepare", "standardise"]
    with pytest.raises(SystemExit) as ended:
        app([*arguments, "--prepare", "pca=3", "--run", run, "--quiet"])
    assert ended.value.code in (0, None)
    assert emdist.load(run).preparation_.config() == [  # type: ignore[union-attr]
        "standardise", {"pca": {"components": 3}}
    ]  # fmt: skip


def test_passes_and_doubts_are_in_the_summary(data: Path) -> None:
    array = zarr.open_array(data, mode="r+")
    array[:, 4] = 3.0
    steps = ["standardise", {"clip": [-3, 3]}, {"pca": 2}]
    seen: list[Event] = []
    summary = done(values(data, prepare=steps, model={"name": "kmeans"}), seen.append)
    page = summary.to_page().to_markdown()
    assert "prepare learned in 2 passes over the data." in page
    assert "**doubt:** standardise: the feature e has the same value in all rows" in page
    told = [one.message for one in seen if isinstance(one, Warned)]
    assert any("the feature e has the same value" in one for one in told)


def test_data_that_change_after_learning_are_refused(data: Path) -> None:
    def writing(event: Event) -> None:
        if isinstance(event, Progress) and event.what == "prepare" and event.done == event.total:
            zarr.open_array(data, mode="r+")[0] = 5.0

    with pytest.raises(RunMismatchError, match="changed after emdist learned how to prepare"):
        done(values(data), writing)
    done(values(data))  # learns again


@pytest.mark.long
def test_killed_at_random_moments_a_run_that_prepares_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    path = overlapping(tmp_path / "x.zarr")
    config, whole = (
        {**configuration(path, tmp_path, "diagonal", key), "prepare": ["standardise", {"pca": 4}]}
        for key in ("r", "whole")
    )
    wanted = undisturbed(whole, tmp_path)
    print("killed in", kill_and_restart(config, tmp_path, 5, 6))
    assert result(tmp_path / "r") == wanted
