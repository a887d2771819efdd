"""`fit.from`: a run that starts from an earlier model, keeps its numbers and tells of drift."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

import emdist
from emdist.errors import ConfigError, DriftError, NotFoundError, RunMismatchError, StartError
from emdist.fit.events import Event, Warned
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.estimators.test_warm_start import BITS, COUNTS, REAL

CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
SHARES = np.array([0.5, 0.3, 0.2])


def stored(path: Path, rows: NDArray[Any], **more: Any) -> Path:
    zarr.create_array(path, data=rows, chunks=(250, rows.shape[1]), overwrite=True, **more)
    return path


def day(number: int, turn: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of a day, whose clusters drift along a circle, and the cluster of each."""
    rng = np.random.default_rng(number)
    which = rng.choice(3, 1000, p=SHARES)
    c, s = np.cos(turn), np.sin(turn)
    centres = (CENTRES - 3) @ np.array([[c, s], [-s, c]]) + 3
    return rng.normal(size=(1000, 2)) + centres[which], which


def values(data: Path, runs: Path, key: str, start: Any = None, /, **more: Any) -> dict[str, Any]:
    sections: dict[str, Any] = {
        "data": {"path": str(data)},
        "model": {"name": "full", "n_components": 3},
        "fit": {"from": None if start is None else str(start)},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(runs), "key": key},
    }
    for section, own in more.items():
        sections[section] = own if section == "prepare" else {**sections.get(section, {}), **own}
    return sections


def complete(config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The summary of a run, and what it warned of."""
    heard: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            heard.append(event.message)

    with open_job(make_config(config), listen=listen) as job:
        found = job if isinstance(job, dict) else job.complete().to_dict()
    return found, heard


def labels_of(run: Path) -> NDArray[Any]:
    return np.asarray(zarr.open_array(run / "labels.zarr/labels")[:])


def test_a_label_means_the_same_for_days(tmp_path: Path) -> None:
    """The clusters turn by a third of a circle in all, from place to place of the others."""
    runs, number = tmp_path / "runs", None
    turns = np.linspace(0, 2 * np.pi / 3, 5)
    for i, turn in enumerate(turns):
        rows, which = day(i, float(turn))
        data = stored(tmp_path / f"{i}.zarr", rows)
        summary, _ = complete(values(data, runs, f"day-{i}", None if i == 0 else "latest:day-"))
        labels = labels_of(runs / f"day-{i}")
        if number is None:
            number = [int(np.bincount(labels[which == k]).argmax()) for k in range(3)]
            assert sorted(number) == [0, 1, 2]
        else:
            assert summary["result"]["drift"]["from"] == str(runs / f"day-{i - 1}")
        assert (labels == np.array(number)[which]).mean() > 0.98


def test_figures_of_drift(tmp_path: Path) -> None:
    rows, _ = day(0)
    runs = tmp_path / "runs"
    complete(values(stored(tmp_path / "a.zarr", rows), runs, "a"))
    later = rows + np.array([0.0, 1.0])
    found, _ = complete(values(stored(tmp_path / "b.zarr", later), runs, "b", runs / "a"))
    before, after = emdist.load(runs / "a"), emdist.load(runs / "b")
    drift = found["result"]["drift"]
    step = np.sqrt(((after.means_ - before.means_) ** 2 / rows.var(axis=0)).mean(axis=1))
    assert drift["moved"] == pytest.approx(step, rel=1e-6)
    assert step == pytest.approx(np.sqrt(0.5) / rows[:, 1].std(), rel=0.02)
    assert drift["score"]["before"] == pytest.approx(before.score(rows), rel=1e-9)
    assert drift["score"]["now"] == pytest.approx(before.score(later), rel=1e-9)
    shares = drift["shares"]
    assert shares["now"] == pytest.approx(after.weights_)
    assert shares["before"] == pytest.approx(before.weights_, abs=1e-3)
    labels = before.predict(later)
    assert shares["under_earlier_model"] == pytest.approx(np.bincount(labels) / 1000)
    assert (drift["new"], drift["gone"], drift["refused"]) == ([], [], False)
    page = (runs / "b/summary.md").read_text()
    assert f"started from | {runs / 'a'}" in page
    assert f"{max(step):.3g} standard deviations" in page


def test_inertia_is_compared_per_row(tmp_path: Path) -> None:
    rows, _ = day(0)
    runs = tmp_path / "runs"
    kmeans = {"name": "kmeans"}
    complete(values(stored(tmp_path / "a.zarr", rows), runs, "a", model=kmeans))
    half = stored(tmp_path / "b.zarr", rows[:500] * 1.1)
    found, _ = complete(values(half, runs, "b", runs / "a", model=kmeans))
    before = emdist.load(runs / "a")
    drift = found["result"]["drift"]
    assert drift["objective"] == "inertia per row"
    assert drift["score"]["before"] == pytest.approx(-before.score(rows) / 1000)
    assert drift["score"]["now"] == pytest.approx(-before.score(rows[:500] * 1.1) / 500)
    assert drift["shares"]["before"] == pytest.approx(np.bincount(before.predict(rows)) / 1000)


CASES: dict[str, tuple[dict[str, Any], NDArray[Any], dict[str, Any]]] = {
    **{name: ({"name": name}, REAL, {}) for name in ("full", "tied", "diagonal", "spherical")},
    "kmeans": ({"name": "kmeans"}, REAL, {}),
    "kmedians": ({"name": "kmedians"}, REAL, {}),
    "isotropic": ({"name": "isotropic", "options": {"variance": 1.0}}, REAL, {}),
    "noise": ({"name": "full", "noise": True}, REAL, {}),
    "variational": ({"name": "variational_full", "weights": "variational_dirichlet"}, REAL, {}),
    "bernoulli": ({"name": "bernoulli"}, BITS, {}),
    "poisson": ({"name": "poisson"}, COUNTS, {}),
    "multinomial": ({"name": "multinomial"}, COUNTS + 1, {}),
    "categorical": ({"name": "categorical", "options": {"categories": 2}}, BITS, {}),
    "product": (
        {"name": "product", "options": {"groups": [{"family": "full", "columns": [0]},
                                        {"family": "diagonal", "columns": [1]}]}}, REAL, {}),
    "prepared": ({"name": "full"}, REAL, {"prepare": ["standardise", {"pca": 2}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_same_data_again_end_where_they_were(name: str, tmp_path: Path) -> None:
    """Nothing is lost of the parameters: the first objective is that of the last ones."""
    model, rows, more = CASES[name]
    data, runs = stored(tmp_path / "x.zarr", rows), tmp_path / "runs"
    fit = {"tol": 0.0, "max_iter": 300}
    complete(values(data, runs, "a", model=model, fit=fit, **more))
    more["fit"] = {**fit, "from": str(runs / "a"), "max_iter": 1}
    found, _ = complete(values(data, runs, "b", model=model, **more))
    before, after = (emdist.load(runs / key) for key in "ab")
    first, last = after.history_[0].objective, before.history_[-1].objective
    assert first == pytest.approx(last, rel=3e-3)
    assert (first - last) * (-1 if "kme" in name else 1) >= -1e-9 * abs(last)
    assert (after.predict(rows) == before.predict(rows)).mean() > 0.98
    assert max(found["result"]["drift"]["moved"]) < 0.05


def test_earlier_steps_prepare_the_rows(tmp_path: Path) -> None:
    """Steps that learned anew would change what the parameters of the earlier model mean."""
    rows, _ = day(0)
    runs, steps = tmp_path / "runs", ["standardise"]
    complete(values(stored(tmp_path / "a.zarr", rows), runs, "a", prepare=steps))
    later = stored(tmp_path / "b.zarr", rows * 3 + 1)
    complete(values(later, runs, "b", runs / "a", prepare=steps))
    one, two = (emdist.load(runs / key).preparation_ for key in "ab")
    assert one is not None
    assert two is not None
    assert all((one.learned[0][name] == two.learned[0][name]).all() for name in one.learned[0])
    with pytest.raises(StartError, match=r"prepared by \['standardise'\], but prepare is empty"):
        complete(values(later, runs, "c", runs / "a"))


def test_limits_warn_or_fail_and_can_be_raised(tmp_path: Path) -> None:
    rows, _ = day(0)
    runs = tmp_path / "runs"
    complete(values(stored(tmp_path / "a.zarr", rows), runs, "a"))
    data = stored(
        tmp_path / "b.zarr", np.concatenate([rows + np.array([0.0, 2.0]), rows[:200] * 0])
    )
    limits = {"moved": 0.1, "share": 0.05, "score": 0.5}
    found, heard = complete(values(data, runs, "b", "latest:a", drift=limits))
    messages = [doubt["message"] for doubt in found["result"]["doubts"] if doubt["kind"] == "drift"]
    assert messages == [one for one in heard if "drift." in one]
    assert len(messages) == 3
    assert "standard deviations from their places" in messages[0]
    assert "(drift.share: 0.05)" in messages[1]
    assert "log-likelihood per row" in messages[2]
    strict = values(data, runs, "c", "latest:a", drift={**limits, "action": "fail"})
    with pytest.raises(DriftError, match="is complete, with its model and labels") as refused:
        complete(strict)
    assert refused.value.exit_code == 8
    assert len(labels_of(runs / "c")) == 1200
    with pytest.raises(DriftError):
        complete(strict)  # The finished run is not computed again, and still too far away.
    again = values(data, runs, "d", "latest:")
    shutil.rmtree(runs / "b")
    assert complete(again)[0]["result"]["drift"]["from"] == str(runs / "a")
    complete({**strict, "drift": {**limits, "action": "warn"}})
    shutil.rmtree(runs / "d")
    assert complete(again)[0]["result"]["drift"]["from"] == str(runs / "c")


def test_latest_is_that_of_the_same_data_and_stays(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    one, two = (stored(tmp_path / f"{i}.zarr", day(i)[0]) for i in range(2))
    _, heard = complete(values(one, runs, "first", "latest"))
    assert any("has no finished run of" in told for told in heard)
    complete(values(two, runs, "other"))
    found, _ = complete(values(one, runs, "next", "latest"))
    assert found["result"]["drift"]["from"] == str(runs / "first")
    # A finished run is found again, also when later ones have come, and the first one is gone.
    complete(values(one, runs, "third", "latest"))
    shutil.rmtree(runs / "first")
    again = complete(values(one, runs, "next", "latest"))[0]
    assert again == json.loads(json.dumps(found))
    (runs / "next/summary.json").unlink()
    found, _ = complete(values(one, runs, "next", "latest"))
    assert found["result"]["drift"]["from"] == str(runs / "first")


def test_an_interrupted_run_goes_on_from_the_same_model(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    one, two = (stored(tmp_path / f"{i}.zarr", day(i, i * 0.3)[0]) for i in range(2))
    complete(values(one, runs, "day-0"))
    slow = {"tol": 0.0, "max_iter": 12, "from": "latest:day-"}
    often = {"folder": str(runs), "checkpoint_iterations": 1}
    complete(values(two, runs, "wanted", fit=slow, run=often | {"key": "wanted"}))
    config = values(two, runs, "day-1", fit=slow, run=often | {"key": "day-1"})
    with open_job(make_config(config)) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
    complete(values(one, runs, "day-9"))  # The latest by now.
    shutil.rmtree(runs / "day-0")
    found, _ = complete(config)
    assert found["result"]["drift"]["from"] == str(runs / "day-0")
    files = [(runs / key / "final/model.safetensors").read_bytes() for key in ("wanted", "day-1")]
    assert files[0] == files[1]


def test_another_model_at_the_same_place_is_another_run(tmp_path: Path) -> None:
    rows, _ = day(0)
    data, runs = stored(tmp_path / "x.zarr", rows), tmp_path / "runs"
    model = tmp_path / "model"
    emdist.GaussianMixture(3, random_state=0).fit(rows).save(model)
    found, _ = complete(values(data, runs, "a", model))
    assert found["result"]["drift"]["score"]["before"] is not None
    assert json.loads((runs / "a/run.json").read_text())["config"].get("from_sha256")
    complete(values(data, runs, "a", model))
    emdist.GaussianMixture(3, random_state=0).fit(rows + 1).save(model)
    with pytest.raises(RunMismatchError, match="from_sha256"):
        complete(values(data, runs, "a", model))
    given = emdist.GaussianMixture.from_parameters(
        weights=SHARES, means=CENTRES, covariances=np.ones(3), covariance_type="spherical"
    )
    given.save(tmp_path / "given")
    config = values(data, runs, "b", tmp_path / "given", model={"name": "spherical"})
    found, _ = complete(config)
    assert found["result"]["drift"]["score"]["before"] is None
    assert labels_of(runs / "b").tolist() == given.predict(rows).tolist()


def test_what_does_not_suit_is_refused(tmp_path: Path) -> None:
    rows, _ = day(0)
    data, runs = stored(tmp_path / "x.zarr", rows), tmp_path / "runs"
    complete(values(data, runs, "a"))

    def refused(error: type[Exception], match: str, **more: Any) -> None:
        with pytest.raises(error, match=match):
            complete(values(data, runs, "b", runs / "a", **more))
        assert not (runs / "b").exists()

    refused(StartError, r"3 components, but model\.n_components is 4", model={"n_components": 4})
    refused(StartError, r"a model full, but model\.name is tied", model={"name": "tied"})
    refused(StartError, "a model with no noise", model={"noise": True})
    refused(ConfigError, r"so fit\.init would have no effect", fit={"init": "random", "from": "a"})
    refused(NotFoundError, "no folder", fit={"from": str(runs / "nothing")})
    named = stored(tmp_path / "n.zarr", rows, attributes={"feature_names": ["a", "b"]})
    other = stored(tmp_path / "o.zarr", rows, attributes={"feature_names": ["b", "a"]})
    complete(values(named, runs, "named"))
    refused(StartError, "a model of other features", data={"path": str(other)},
            fit={"from": str(runs / "named")})  # fmt: skip
    wide = stored(tmp_path / "w.zarr", np.ones((300, 3)))
    refused(StartError, "a model of 2 features, but the data have 3", data={"path": str(wide)})
