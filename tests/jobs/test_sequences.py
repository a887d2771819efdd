"""Hidden Markov models by configuration: sequences, outputs, resumed runs, other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist import GaussianHMM
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import ConfigError, ShapeError, StartError
from emdist.interfaces import Floats
from emdist.jobs.describe import describe_run
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.run import open_job
from emdist.settings.config import DataSection, NewDataSection, make_config
from emdist.store.places.location import Location

LENGTHS = [100, 1, 49, 90]


def stored(path: Path, x: Any, chunk: int = 40) -> str:
    """`x` as a Zarr array at `path`."""
    array = zarr.create_array(path, shape=x.shape, chunks=(chunk, *x.shape[1:]), dtype=x.dtype)
    array[...] = x
    return str(path)


@pytest.fixture
def x() -> Floats:
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1, 0, 1], 40)
    return rng.normal(size=(240, 2)) + 4.0 * states[:, None]


def completed(folder: Path, data: dict[str, Any], **sections: Any) -> Path:
    """A finished run in `folder`."""
    given: dict[str, Any] = {
        "data": data,
        "model": {"name": "hmm", "n_components": 2, **sections.pop("model", {})},
        "fit": {"seed": 0, **sections.pop("fit", {})},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(folder.parent), "key": folder.name},
        **sections,
    }
    with open_job(make_config(given)) as job:
        assert isinstance(job, Job)
        job.complete()
    return folder


def same(run: Path, est: GaussianHMM) -> None:
    found: Any = emdist.load(run)
    for name in ("startprob_", "transmat_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(est, name))


@pytest.mark.parametrize("block_size", [None, "1 kB"])
def test_sequences_are_told_in_three_ways(x: Floats, tmp_path: Path, block_size: Any) -> None:
    path = stored(tmp_path / "x.zarr", x)
    ids = stored(tmp_path / "ids.zarr", np.repeat([7, 3, 5, 4], LENGTHS))
    lengths = stored(tmp_path / "lengths.zarr", np.array(LENGTHS))
    est = GaussianHMM(2, random_state=0, block_size=block_size).fit(path, LENGTHS)
    for i, told in enumerate(({"sequences": ids}, {"lengths": LENGTHS}, {"lengths": lengths})):
        data = {"path": path, "block_size": block_size, **told}
        same(completed(tmp_path / f"run-{i}", data), est)
    labels = zarr.open_group(tmp_path / "run-0" / "labels.zarr")["labels"][:]
    np.testing.assert_array_equal(labels, est.predict(x, LENGTHS))
    whole = GaussianHMM(2, random_state=0, block_size=block_size).fit(path)
    same(completed(tmp_path / "run-whole", {"path": path, "block_size": block_size}), whole)
    assert (whole.transmat_ != est.transmat_).any()


def test_every_pixel_is_a_sequence_along_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    states = np.cumsum(rng.random((30, 4, 6)) < 0.1, axis=0) % 2
    values = {name: 3.0 * states + rng.normal(size=states.shape) for name in ("a", "b")}
    sea = np.ones((4, 6), np.int8)
    sea[1:3, 2] = 0
    group = zarr.open_group(tmp_path / "map.zarr", mode="w")
    dims = ("time", "lat", "lon")
    for name, one in values.items():
        array = group.create_array(
            name, shape=one.shape, chunks=(10, 2, 3), dtype="f8", dimension_names=dims
        )
        array[...] = one
    array = group.create_array(
        "sea", shape=sea.shape, chunks=sea.shape, dtype="i1", dimension_names=dims[1:]
    )
    array[...] = sea
    where = {"variable": "sea", "equals": 1}
    data = {"path": str(tmp_path / "map.zarr"), "variables": ["a", "b"], "where": where}
    rows = np.stack([values["a"], values["b"]], -1).transpose(1, 2, 0, 3)[sea == 1]
    est = GaussianHMM(2, random_state=0, tol=1e-9, max_iter=500).fit(
        rows.reshape(-1, 2), [30] * len(rows)
    )
    for i, block_size in enumerate((None, "4 kB")):
        run = completed(
            tmp_path / f"run-{i}", {**data, "time": "time", "block_size": block_size},
            fit={"tol": 1e-9, "max_iter": 500},
        )  # fmt: skip
        found: Any = emdist.load(run)
        for name in ("startprob_", "transmat_", "means_"):
            np.testing.assert_allclose(getattr(found, name), getattr(est, name), atol=1e-6)
        labels = zarr.open_group(run / "labels.zarr")["labels"]
        assert labels.metadata.dimension_names == ("lat", "lon", "time")
        np.testing.assert_array_equal(
            labels[:][sea == 1].reshape(-1), est.predict(rows.reshape(-1, 2), [30] * len(rows))
        )
        again: Any = emdist.rows(data["path"], ["a", "b"], time="time", where=where)
        assert found.predict(again).dims == ("lat", "lon", "time")
        assert found.score(again) == pytest.approx(
            est.score(rows.reshape(-1, 2), [30] * len(rows)), rel=1e-6
        )
    with pytest.raises(ConfigError, match="needs to know along which"):
        completed(tmp_path / "none", data)
    with pytest.raises(ConfigError, match="no sample dimension"):
        completed(tmp_path / "none", {**data, "time": "depth"})
    with pytest.raises(ConfigError, match="larger than a block"):
        completed(tmp_path / "none", {**data, "time": "time", "block_size": "100 B"})


def test_wrong_sequences_are_refused(x: Floats, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", x)
    bad = stored(tmp_path / "bad.zarr", np.repeat([1, 2, 1], 80))
    nan = stored(tmp_path / "nan.zarr", np.repeat([1.0, np.nan, 2.0], 80))
    short = stored(tmp_path / "short.zarr", np.repeat([1, 2], 80))
    for told, error, said in (
        ({"sequences": bad}, ConfigError, "not consecutive"),
        ({"sequences": nan}, ConfigError, "is nan for row 80"),
        ({"sequences": short}, ShapeError, r"shape \(160,\)"),
        ({"lengths": [100, 100]}, ShapeError, "sums to 200"),
        ({"lengths": [240, 0]}, ConfigError, "holds 0"),
        ({"lengths": [240], "sequences": short}, ConfigError, "both say"),
    ):
        with pytest.raises(error, match=said):
            completed(tmp_path / "run", {"path": path, **told})
    with pytest.raises(ConfigError, match="only for hidden Markov models"):
        completed(tmp_path / "run", {"path": path, "lengths": [240]}, model={"name": "full"})


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"emission": "kmeans"}, "no density"),
        ({"emission": "nothing"}, "nothing"),
        ({"noise": True}, "no noise"),
        ({"weights": "dirichlet"}, "mixture weights"),
        ({"assignment": "anneal"}, "assignment"),
        ({"name": "full", "emission": "full"}, "only for hmm"),
    ],
)
def test_what_is_no_hidden_markov_model_is_refused(
    x: Floats, tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    path = stored(tmp_path / "x.zarr", x)
    with pytest.raises(ConfigError, match=said):
        completed(tmp_path / "run", {"path": path}, model=model)


@pytest.mark.parametrize("start", ["free", "uniform", "stationary"])
def test_zeros_of_the_start_stay_zero(x: Floats, tmp_path: Path, start: str) -> None:
    path, given = stored(tmp_path / "x.zarr", x[:80]), tmp_path / "start.npz"
    np.savez(given, startprob=[1.0, 0.0], transmat=[[0.9, 0.1], [0.0, 1.0]])
    run = completed(
        tmp_path / "run", {"path": path}, model={"chain": {"start": start}},
        fit={"start": str(given), "init": "random"},
    )  # fmt: skip
    found: Any = emdist.load(run)
    assert found.start == start
    assert found.transmat_[1, 0] == 0.0
    if start == "free":
        assert found.startprob_.tolist() == [1.0, 0.0]
    if start == "uniform":
        assert found.startprob_.tolist() == [0.5, 0.5]
    np.savez(given, transmat=[[0.9, 0.2], [0.0, 1.0]])
    with pytest.raises(StartError, match="sum to 1 in each row"):
        completed(tmp_path / "bad", {"path": path}, fit={"start": str(given)})
    with pytest.raises(StartError, match="only hidden Markov models"):
        completed(
            tmp_path / "bad", {"path": path}, model={"name": "full"}, fit={"start": str(given)}
        )


def test_new_rows_are_labelled_in_their_sequences(x: Floats, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", x)
    run = completed(tmp_path / "run", {"path": path, "lengths": LENGTHS})
    est: Any = emdist.load(run)
    out = tmp_path / "labels.zarr"
    new = NewDataSection(path=path, lengths=[120, 120], block_size="1 kB")
    outputs = ["labels", "responsibilities", "score", "filtered", "predicted"]
    label_data(Location(str(run)), new, Location(str(out)), outputs=outputs)
    group, lengths = zarr.open_group(out), [120, 120]
    np.testing.assert_array_equal(group["labels"][:], est.predict(x, lengths))
    for name, wanted in (
        ("responsibilities", est.predict_proba(x, lengths)),
        ("filtered", est.filter_proba(x, lengths)),
        ("predicted", est.predict_next_proba(x, lengths)),
        ("score", est.score_samples(x, lengths)),
    ):
        np.testing.assert_allclose(group[name][:], wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(ConfigError, match="append"):
        label_data(Location(str(run)), DataSection(path=path), Location(str(out)), append=True)


def test_outputs_of_sequences_are_refused_for_other_models(x: Floats, tmp_path: Path) -> None:
    path, model = stored(tmp_path / "x.zarr", x), tmp_path / "model"
    with pytest.raises(ConfigError, match="does not look at the order"):
        completed(
            tmp_path / "run", {"path": path}, model={"name": "full"},
            labels={"outputs": ["filtered"]},
        )  # fmt: skip
    emdist.GaussianMixture(2, random_state=0).fit(x).save(model)
    with pytest.raises(ConfigError, match="does not look at the order"):
        label_data(
            Location(str(model)), DataSection(path=path), Location(str(tmp_path / "out")),
            outputs=["predicted"],
        )  # fmt: skip


def test_a_sweep_compares_states_and_families_by_bic(x: Floats, tmp_path: Path) -> None:
    grid = {"n_components": [1, 2, 3], "emission": ["full", "diagonal"]}
    est = emdist.HiddenMarkovModel(random_state=0)
    swept = emdist.Sweep(est, grid).fit(x, lengths=LENGTHS)
    assert swept.best_params_ == {"n_components": 2, "emission": "diagonal"}
    for params, bic in zip(swept.results_["params"], swept.results_["bic"], strict=True):
        alone = emdist.HiddenMarkovModel(random_state=0, **params).fit(x, LENGTHS)
        assert bic == pytest.approx(alone.bic(x, LENGTHS), rel=1e-9)
    path = stored(tmp_path / "x.zarr", x)
    values = {
        "data": {"path": path, "lengths": LENGTHS},
        "model": {"name": "hmm"},
        "fit": {"seed": 0},
        "sweep": {"n_components": "1..3", "families": ["full", "diagonal"]},
        "run": {"folder": str(tmp_path), "key": "swept"},
    }
    with open_job(make_sweep_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()
    best: Any = emdist.load(tmp_path / "swept")
    assert best.n_components == 2
    np.testing.assert_array_equal(best.transmat_, swept.best_estimator_.transmat_)
    with pytest.raises(ConfigError, match="only for hidden Markov models"):
        emdist.Sweep(emdist.KMeans(), {"n_clusters": [2]}).fit(x, lengths=[240])
    with pytest.raises(ConfigError, match="icl"):
        emdist.Sweep(est, grid, criterion="icl").fit(x, lengths=LENGTHS)


def test_a_run_is_described_and_goes_on_in_another(x: Floats, tmp_path: Path) -> None:
    path = stored(tmp_path / "x.zarr", x)
    run = completed(tmp_path / "run", {"path": path, "lengths": LENGTHS})
    found = describe_run(Location(str(run)))
    labels = zarr.open_group(run / "labels.zarr")["labels"][:]
    rows = found.to_frame("clusters")["rows"].tolist()
    assert rows == np.bincount(labels).tolist()
    data = {"path": path, "lengths": LENGTHS}
    after = completed(tmp_path / "after", data, fit={"from": str(run)})
    one, two = (emdist.load(each) for each in (run, after))
    assert two.lower_bounds_[0] >= one.lower_bound_ - 1e-12
    np.testing.assert_allclose(two.transmat_, one.transmat_, atol=1e-3)


def test_a_mixture_and_a_hidden_markov_model_do_not_start_from_one_another(
    x: Floats, tmp_path: Path
) -> None:
    path = stored(tmp_path / "x.zarr", x)
    chain = completed(tmp_path / "chain", {"path": path}, model={"emission": "full"})
    mixture = completed(tmp_path / "mixture", {"path": path}, model={"name": "full"})
    with pytest.raises(StartError, match=r"is hmm \(full\), but the model to fit is full"):
        completed(tmp_path / "a", {"path": path}, model={"name": "full"}, fit={"from": str(chain)})
    with pytest.raises(StartError, match="cannot start from one another"):
        completed(
            tmp_path / "b", {"path": path}, model={"emission": "full"}, fit={"from": str(mixture)}
        )
