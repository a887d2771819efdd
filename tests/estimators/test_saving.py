"""What was saved comes back; what the command line fitted is an estimator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import clone

import emdist
from emdist import GaussianMixture, KMeans, KMedians
from emdist.errors import CheckpointError, ConfigError, NotFoundError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.every_estimator import EVERY

Rows = NDArray[np.float64]

COVARIANCES = ["full", "tied", "diag", "spherical"]


def run(data: Path, folder: Path, **model: Any) -> None:
    """A finished run in `folder`, as the command line leaves it."""
    config = make_config(
        {
            "data": {"path": str(data)},
            "model": model,
            "fit": {"seed": 0},
            "run": {"folder": str(folder.parent), "key": folder.name},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()


def same(a: Any, b: Any, names: list[str]) -> None:
    for name in names:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("kind", COVARIANCES)
def test_a_mixture_comes_back(kind: str, x: Rows, tmp_path: Path) -> None:
    est = GaussianMixture(3, covariance_type=kind, tol=1e-4, random_state=3, n_init=2).fit(x)
    est.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert isinstance(back, GaussianMixture)
    assert back.get_params() == est.get_params()
    same(back, est, ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"])
    same(back, est, ["n_iter_", "lower_bound_", "lower_bounds_", "converged_", "n_features_in_"])
    assert np.array_equal(back.predict_proba(x), est.predict_proba(x))
    assert np.array_equal(back.sample(9)[0], est.sample(9)[0])
    assert np.array_equal(back.fit(x).means_, est.means_)


@EVERY
def test_every_estimator_comes_back(est: Any, x: Rows, tmp_path: Path) -> None:
    fitted = clone(est).fit(x)
    fitted.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert type(back) is type(est)
    assert back.get_params() == fitted.get_params()
    assert np.array_equal(back.predict(x), fitted.predict(x))
    assert back.score(x) == fitted.score(x)


@pytest.mark.parametrize("cls", [KMeans, KMedians])
def test_kmeans_and_kmedians_come_back(cls: Any, x: Rows, tmp_path: Path) -> None:
    est = cls(3, random_state=3, init="random", max_iter=50).fit(x)
    est.save(str(tmp_path / "m"))
    back = emdist.load(str(tmp_path / "m"))
    assert type(back) is cls
    assert back.get_params() == est.get_params()
    same(back, est, ["cluster_centers_", "inertia_", "n_iter_", "n_features_in_"])
    # By their text: the first change is NaN, which equals nothing.
    assert repr(back.history_) == repr(est.history_)
    assert np.array_equal(back.predict(x), est.labels_)
    assert np.array_equal(back.transform(x), est.transform(x))
    assert not hasattr(back, "labels_")


def test_parameters_that_json_cannot_hold_are_left_out(x: Rows, tmp_path: Path) -> None:
    with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0") as client:
        est = KMeans(3, init=x[:3], engine=client).fit(x)
        est.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert back.engine is None
    assert np.array_equal(back.predict(x), est.labels_)


def test_nothing_but_numbers_and_text_is_stored(x: Rows, tmp_path: Path) -> None:
    KMeans(3, random_state=0).fit(x).save(tmp_path / "m")
    files = sorted(p.relative_to(tmp_path / "m").as_posix() for p in (tmp_path / "m").rglob("*.*"))
    assert all(name.endswith((".json", ".safetensors")) for name in files)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("full", "full"), ("tied", "tied"), ("diagonal", "diag"), ("spherical", "spherical")],
)
def test_a_finished_run_is_an_estimator(
    name: str, kind: str, x: Rows, stored: Path, tmp_path: Path
) -> None:
    run(stored, tmp_path / "run", name=name, n_components=3, options={"reg_covar": 1e-5})
    for place in (tmp_path / "run", tmp_path / "run" / "final"):
        back = emdist.load(place)
        assert isinstance(back, GaussianMixture)
        assert (back.covariance_type, back.n_components, back.reg_covar) == (kind, 3, 1e-5)
        wanted = GaussianMixture(3, covariance_type=kind, reg_covar=1e-5, random_state=0).fit(
            stored
        )
        assert np.array_equal(back.means_, wanted.means_)
        assert np.array_equal(back.predict(x), wanted.predict(x))


@pytest.mark.parametrize(("name", "cls"), [("kmeans", KMeans), ("kmedians", KMedians)])
def test_a_finished_run_of_centres_is_an_estimator(
    name: str, cls: Any, x: Rows, stored: Path, tmp_path: Path
) -> None:
    run(stored, tmp_path / "run", name=name, n_components=3)
    wanted = cls(3, random_state=0).fit(stored)
    back = emdist.load(tmp_path / "run")
    assert type(back) is cls
    assert np.array_equal(back.cluster_centers_, wanted.cluster_centers_)
    assert back.inertia_ == wanted.inertia_


def test_a_run_without_an_estimator_says_so(stored: Path, tmp_path: Path) -> None:
    run(stored, tmp_path / "run", name="variational_full", noise=True, n_components=2)
    with pytest.raises(ConfigError, match="emdist label"):
        emdist.load(tmp_path / "run")


def test_there_is_no_model(tmp_path: Path, stored: Path) -> None:
    with pytest.raises(NotFoundError):
        emdist.load(tmp_path / "nowhere")
    with pytest.raises((NotFoundError, CheckpointError)):
        emdist.load(stored)


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
def test_a_damaged_model_is_refused(file: str, x: Rows, tmp_path: Path) -> None:
    KMeans(3, random_state=0).fit(x).save(tmp_path / "m")
    path = next((tmp_path / "m").rglob(file))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError):
        emdist.load(tmp_path / "m")


def test_a_model_of_a_later_format_is_refused(x: Rows, tmp_path: Path) -> None:
    KMeans(3, random_state=0).fit(x).save(tmp_path / "m")
    path = next((tmp_path / "m").rglob("model.json"))
    meta = json.loads(path.read_text())
    meta["format"] = 999
    path.write_text(json.dumps(meta))
    with pytest.raises(CheckpointError):
        emdist.load(tmp_path / "m")


def test_saving_replaces_what_was_saved(x: Rows, tmp_path: Path) -> None:
    KMeans(3, random_state=0).fit(x).save(tmp_path / "m")
    KMeans(2, random_state=0).fit(x).save(tmp_path / "m")
    assert emdist.load(tmp_path / "m").cluster_centers_.shape == (2, 3)


@pytest.mark.parametrize(
    ("assignment", "options"),
    [("hard", None), ("tempered", {"start": 1.5}), ("stochastic", {"iterations": 5})],
)
def test_an_assignment_comes_back(
    tmp_path: Path, assignment: str, options: dict[str, Any] | None
) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(c, 1.0, (100, 2)) for c in (0.0, 5.0, 9.0)])
    fitted = GaussianMixture(
        3, assignment=assignment, assignment_options=options, random_state=0
    ).fit(x)
    fitted.save(tmp_path / "model")
    found = emdist.load(tmp_path / "model")
    assert found.assignment == assignment
    assert found.assignment_options == options
    np.testing.assert_array_equal(found.predict(x), fitted.predict(x))


def test_a_run_keeps_its_own_model(stored: Path, x: Rows, tmp_path: Path) -> None:
    folder, est = tmp_path / "run", KMeans(3, random_state=0).fit(x)
    run(stored, folder, name="kmeans", n_components=3)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    around = f"is in {folder}, which is the folder of a run"
    for inside, what in (
        (folder, "run is the folder of a run"),
        (folder / "final", around),
        (folder / "mine", around),
    ):
        with pytest.raises(ConfigError, match=f"{what} .*Choose a new or empty folder"):
            est.save(inside)
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_model_replaces_only_a_model(x: Rows, tmp_path: Path) -> None:
    place, est = tmp_path / "m", KMeans(2, init=x[:2]).fit(x)
    place.mkdir()
    est.save(place)
    KMeans(3, init=x[:3]).fit(x).save(place)
    same(emdist.load(place), KMeans(3, init=x[:3]).fit(x), ["cluster_centers_"])
    (place / "model.json").unlink()  # Writing it was cut off: it is saved again.
    est.save(place)
    same(emdist.load(place), est, ["cluster_centers_"])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        ConfigError, match=r"holds files that are not a saved model\. Choose a new or empty folder"
    ):
        est.save(tmp_path)
    with pytest.raises(ConfigError, match=r"notes.txt is a file, but a model is saved as a folder"):
        est.save(tmp_path / "notes.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "notes.txt"]


@pytest.mark.parametrize(
    ("path", "what"), [(None, "None"), (b"m", ".*of the type bytes"), (3, "3, of")]
)
def test_a_path_is_a_path(path: Any, what: str, x: Rows) -> None:
    with pytest.raises(
        ConfigError, match=f"path is {what}.* expected a folder to save the model in"
    ):
        KMeans(2, init=x[:2]).fit(x).save(path)
    for call in (emdist.load, emdist.load_distribution):
        with pytest.raises(
            ConfigError, match=f"path is {what}.* expected the folder of a saved mod"
        ):
            call(path)
