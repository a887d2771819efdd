"""Transformers with scikit-learn's names: its results and conventions, and lazy pipelines."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import sklearn.decomposition
import sklearn.preprocessing
import zarr
from distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import emdist
from emdist import GaussianMixture, KMeans, Sweep
from emdist.errors import ConfigError, DegenerateWarning, ShapeError, StartError
from emdist.interfaces import Array
from emdist.prepare import PCA, Log1p, Normalizer, PreparedRows, StandardScaler
from tests.prepare.rows import correlated, with_gaps

X = correlated()
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}

#: Checks that fail, and why that is right.
FAILING = {
    # It is positive semi-definite of a lower rank: directions without variance are not determined.
    ("PCA", "check_sample_weight_equivalence_on_dense_data"),
    # Its error is in other words: values must be above -1, not 0.
    ("Log1p", "check_positive_only_tag_during_fit"),
}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(250, 8), dtype="f8")
    array[:] = X
    return tmp_path / "x.zarr"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cls", [StandardScaler, PCA, Normalizer, Log1p])
def test_scikit_learn_s_checks(cls: Any) -> None:
    found = check_estimator(cls(), on_fail=None)
    failed = {one["check_name"] for one in found if one["status"] == "failed"}
    assert failed == {name for owner, name in FAILING if owner == cls.__name__}


@pytest.mark.parametrize("x", [X, with_gaps(X)], ids=["complete", "gaps"])
def test_standard_scaler(x: Array) -> None:
    ours, theirs = StandardScaler().fit(x), sklearn.preprocessing.StandardScaler().fit(x)
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **CLOSE)
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), **CLOSE)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(x)), x, **CLOSE)
    bare = StandardScaler(with_mean=False, with_std=False).fit(x)
    assert bare.mean_ is bare.var_ is bare.scale_ is None


@pytest.mark.parametrize("n_components", [None, 3, 0.9])
def test_pca(n_components: Any) -> None:
    ours = PCA(n_components).fit(X)
    theirs = sklearn.decomposition.PCA(n_components, svd_solver="full").fit(X)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "mean_",
                 "singular_values_", "n_components_", "n_samples_", "noise_variance_"):  # fmt: skip
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **CLOSE)
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
    scores = theirs.transform(X)
    np.testing.assert_allclose(ours.inverse_transform(scores), theirs.inverse_transform(scores),
                               **CLOSE)  # fmt: skip


def test_normalizer_and_log1p() -> None:
    x = np.abs(X)
    wanted = sklearn.preprocessing.Normalizer("l1").transform(x)
    np.testing.assert_allclose(Normalizer("l1").fit_transform(x), wanted, **CLOSE)
    np.testing.assert_allclose(Log1p().fit_transform(x), np.log1p(x), **CLOSE)
    np.testing.assert_allclose(Normalizer(total=5).fit_transform(x).sum(axis=1), 5)
    with pytest.raises(ConfigError, match="normalise has no inverse"):
        Normalizer().fit(x).inverse_transform(x)


def test_wide_rows_take_a_range_finder() -> None:
    x = np.random.default_rng(0).normal(size=(500, 40)) * np.geomspace(30, 1, 40)
    ours = PCA(3, svd_solver="randomized", iterated_power=8, random_state=1).fit(x)
    theirs = sklearn.decomposition.PCA(3, svd_solver="full").fit(x)
    np.testing.assert_allclose(ours.components_, theirs.components_, atol=1e-6)
    assert (abs(ours.explained_variance_ - theirs.explained_variance_) <= ours.error_).all()
    assert "in 8 passes" in ours.notes_[0]


@pytest.mark.parametrize("kind", ["path", "zarr", "dask"])
def test_data_that_are_not_in_memory_become_rows_that_are_not(stored: Path, kind: str) -> None:
    x: Any = {"path": stored, "zarr": zarr.open_array(stored), "dask": da.from_zarr(str(stored))}[
        kind
    ]
    pipeline = make_pipeline(StandardScaler(), PCA(3))
    rows = pipeline.fit_transform(x)
    assert isinstance(rows, PreparedRows)
    assert rows.shape == (2000, 3)
    wanted = make_pipeline(StandardScaler(), PCA(3)).fit_transform(X)
    np.testing.assert_allclose(rows.compute(), wanted, rtol=1e-9, atol=1e-9)
    back = pipeline.inverse_transform(rows)
    assert isinstance(back, PreparedRows)
    np.testing.assert_allclose(back.compute(), pipeline.inverse_transform(wanted), rtol=1e-9)
    with pytest.raises(TypeError, match=r"rows.compute\(\)"):
        np.asarray(rows)


@pytest.mark.parametrize("last", [GaussianMixture(3, random_state=0), KMeans(3, random_state=0)])
def test_a_pipeline_fits_and_predicts_stored_data(stored: Path, last: Any) -> None:
    streamed = make_pipeline(StandardScaler(), PCA(3), clone(last)).fit(stored)
    held = make_pipeline(StandardScaler(), PCA(3), clone(last)).fit(X)
    labels = streamed.predict(stored)
    assert np.array_equal(labels, streamed.predict(X))
    assert streamed[-1].n_features_in_ == 3
    np.testing.assert_allclose(streamed.score(stored), streamed.score(X), rtol=1e-9)
    name = "means_" if hasattr(streamed[-1], "means_") else "cluster_centers_"
    np.testing.assert_allclose(getattr(streamed[-1], name), getattr(held[-1], name), atol=1e-6)
    twin = pickle.loads(pickle.dumps(streamed))
    assert np.array_equal(twin.predict(stored), labels)
    clone(streamed)


def test_weights_reach_every_step(stored: Path, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    array = zarr.create_array(tmp_path / "w.zarr", shape=(len(X),), chunks=(250,), dtype="f8")
    array[:] = weight
    path = str(tmp_path / "w.zarr")
    given = {f"{name}__sample_weight": path for name in ("standardscaler", "pca", "kmeans")}
    streamed = make_pipeline(StandardScaler(), PCA(2), KMeans(2, random_state=0))
    streamed.fit(stored, **given)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    scaler = sklearn.preprocessing.StandardScaler().fit(repeated)
    np.testing.assert_allclose(streamed[0].mean_, scaler.mean_, **CLOSE)
    wanted = sklearn.decomposition.PCA(2, svd_solver="full").fit(scaler.transform(repeated))
    np.testing.assert_allclose(streamed[1].components_, wanted.components_, **CLOSE)


def test_names_and_output_of_frames() -> None:
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    scaler = StandardScaler().set_output(transform="pandas").fit(frame)
    assert list(scaler.transform(frame).columns) == list("abcdefgh")
    assert list(scaler.feature_names_in_) == list("abcdefgh")
    pca = PCA(2).set_output(transform="pandas").fit(frame)
    assert list(pca.transform(frame).columns) == ["pca0", "pca1"]
    with pytest.raises(ValueError, match="same order"):
        scaler.transform(frame[list("hgfedcba")])
    with pytest.raises(ShapeError, match="X has 7 features, but StandardScaler is expecting 8"):
        scaler.transform(frame[list("abcdefg")])
    with pytest.raises(ValueError, match="input_features is not equal"):
        scaler.get_feature_names_out(list("hgfedcba"))


def test_parameters_are_checked() -> None:
    for wrong, message in (
        (PCA("mle"), "n_components='mle'"),
        (PCA(svd_solver="arpack"), "svd_solver='arpack'"),
        (PCA(0), "components is 0"),
        (PCA(iterated_power=0), "iterated_power"),
        (Normalizer("l3"), "normalise.norm"),  # type: ignore[arg-type]
        (StandardScaler(with_mean=3), "with_mean"),  # type: ignore[arg-type]
        (StandardScaler(non_finite="x"), "non_finite"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match=message):
            wrong.fit(X)
    with pytest.warns(DegenerateWarning, match="the feature x0 has the same value"):
        StandardScaler().fit(np.ones((10, 1)))


STEPS: list[Any] = ["standardise", {"pca": 3}]


@pytest.mark.parametrize("steps", [STEPS, [StandardScaler(), PCA(3)]], ids=["names", "objects"])
def test_an_estimator_prepares_by_itself(stored: Path, steps: Any) -> None:
    model = GaussianMixture(3, random_state=0, prepare=steps).fit(stored)
    piped = make_pipeline(StandardScaler(), PCA(3), GaussianMixture(3, random_state=0)).fit(stored)
    np.testing.assert_allclose(model.means_, piped[-1].means_, atol=1e-8)
    assert np.array_equal(model.predict(X), piped.predict(X))
    np.testing.assert_allclose(model.score_samples(X), piped.score_samples(X), atol=1e-6)
    np.testing.assert_allclose(model.score(stored), piped.score(stored), rtol=1e-9)
    nested = make_pipeline(
        StandardScaler(), GaussianMixture(3, random_state=0, prepare=[{"pca": 3}])
    )
    assert np.array_equal(nested.fit(stored).predict(X), model.predict(X))
    assert abs(nested.score(stored) - model.score(stored)) < 1e-8
    assert model.n_features_in_ == 8
    assert model.preparation_ is not None
    assert model.preparation_.inverse(model.means_).shape == (3, 8)
    twin = clone(model).fit(stored)
    assert np.array_equal(twin.means_, model.means_)
    assert pickle.loads(pickle.dumps(model)).predict(X).shape == (2000,)
    with pytest.raises(ShapeError, match="X has 3 features, but GaussianMixture is expecting 8"):
        model.predict(X[:, :3])


def test_a_model_that_prepares_is_saved_and_loaded(stored: Path, tmp_path: Path) -> None:
    model = GaussianMixture(3, random_state=0, prepare=[StandardScaler(), {"pca": 3}]).fit(stored)
    model.save(tmp_path / "m")
    again = emdist.load(tmp_path / "m", GaussianMixture)
    assert again.prepare == ["standardise", {"pca": {"components": 3}}]
    assert np.array_equal(again.predict(stored), model.predict(stored))
    assert np.array_equal(again.fit(stored).means_, model.means_)


def test_a_model_without_steps_is_stored_as_before(tmp_path: Path) -> None:
    from emdist.store.places.location import Location
    from emdist.store.runs.model_files import read_model

    KMeans(2, random_state=0).fit(X).save(tmp_path / "m")
    found = read_model(Location(str(tmp_path / "m")))
    assert "prepare" not in found.meta
    assert "prepare" not in found.meta["params"]
    assert "preparation" not in str(found.meta["value"])


def test_a_warm_start_keeps_what_was_learned(stored: Path) -> None:
    model = GaussianMixture(2, random_state=0, prepare=STEPS, warm_start=True, max_iter=3)
    with pytest.warns(match="not converged|has not converged|max_iter"):
        model.set_params(tol=0).fit(X)
    before = model.preparation_
    with pytest.warns(match="not converged|has not converged|max_iter"):
        model.fit(X + 1e-3)
    assert model.preparation_ is before
    with pytest.raises(StartError, match="prepared rows by other steps"):
        model.set_params(prepare=None).fit(X)


def test_streams_take_steps_that_learn_nothing() -> None:
    x = np.abs(X)
    model = GaussianMixture(2, random_state=0, prepare=["log1p"]).partial_fit(x).partial_fit(x)
    assert model.n_features_in_ == 8
    assert (model.means_ < np.log1p(x).max(axis=0)).all()
    with pytest.raises(ConfigError, match="partial_fit cannot learn the steps standardise"):
        GaussianMixture(2, prepare=["standardise"]).partial_fit(x)
    fitted = GaussianMixture(2, random_state=0, prepare=STEPS).fit(x)
    learned = fitted.preparation_
    assert fitted.partial_fit(x).preparation_ is learned
    with pytest.raises(ConfigError, match="from_parameters cannot learn the steps standardise"):
        KMeans.from_parameters(cluster_centers=np.zeros((2, 3)), prepare=["standardise"])
    made = KMeans.from_parameters(cluster_centers=np.log1p(x[:2]), prepare=["log1p"])
    assert made.predict(x[:2]).tolist() == [0, 1]


def test_a_sweep_prepares_once(stored: Path) -> None:
    base = GaussianMixture(random_state=0, prepare=STEPS)
    sweep = Sweep(base, {"n_components": [1, 2]}).fit(stored)
    assert len({id(one.preparation_) for one in sweep.estimators_}) == 1
    assert sweep.n_features_in_ == 8
    assert sweep.predict(X).shape == (2000,)
    with pytest.raises(ConfigError, match="varies prepare"):
        Sweep(base, {"prepare": [None, STEPS]}).fit(stored)


def test_mistakes_in_steps_are_those_of_a_parameter() -> None:
    with pytest.raises(ConfigError, match=r"^prepare\[0\]: 'scale' is not known"):
        KMeans(2, prepare=["scale"]).fit(X)


def test_missing_values_are_prepared_and_clustered() -> None:
    x = with_gaps(X)
    model = GaussianMixture(2, random_state=0, non_finite="missing", prepare=["standardise"])
    assert model.fit(x).predict(x).shape == (2000,)
    step = {"pca": {"components": 3, "missing": "pairwise"}}
    paired = GaussianMixture(2, random_state=0, non_finite="missing", prepare=["standardise", step])
    empty = np.vstack([x, np.full((1, 8), np.nan)])
    assert len(paired.fit(empty).predict(empty)) == 2000, "a row without any value has no label"


def test_dask_workers_prepare_to_the_same_bits(stored: Path) -> None:
    here = GaussianMixture(2, random_state=0, prepare=STEPS).fit(stored)
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        model = GaussianMixture(2, random_state=0, prepare=STEPS, engine=client).fit(stored)
        assert np.array_equal(model.means_, here.means_)
        rows = StandardScaler(engine=client).fit(stored)
        assert np.array_equal(rows.mean_, StandardScaler().fit(stored).mean_)
        assert StandardScaler(engine=client).fit_transform(X).shape == X.shape


@pytest.fixture
def ocean(tmp_path: Path) -> Path:
    """Two variables on (time, depth, y), with means of their own at each depth."""
    rng = np.random.default_rng(0)
    group = zarr.open_group(tmp_path / "ocean.zarr", mode="w")
    for name, size in (("TEMP", 10.0), ("PSAL", 0.1)):
        values = size * (rng.normal(size=(6, 4, 50)) + np.arange(4)[:, None] * 3)
        group.create_array(
            name, data=values, chunks=(2, 4, 25), dimension_names=("time", "depth", "y")
        )
    return tmp_path / "ocean.zarr"


def test_variables_on_a_grid_are_standardised_by_variable(ocean: Path) -> None:
    rows = emdist.rows(ocean, ["TEMP", "PSAL"], features="depth")
    steps: list[Any] = [{"standardise": "variable"}]
    model = KMeans(2, random_state=0, prepare=steps).fit(rows)
    assert model.preparation_ is not None
    scale = model.preparation_.learned[0]["scale"]
    for variable, own in (("TEMP", slice(0, 4)), ("PSAL", slice(4, 8))):
        whole = zarr.open_group(ocean)[variable][:]
        np.testing.assert_allclose(scale[own], whole.std(), rtol=1e-10)
    labels = model.predict(rows)
    assert labels.dims == ("time", "y")
    streamed = make_pipeline(StandardScaler(), PCA(2), KMeans(2, random_state=0)).fit(rows)
    assert streamed.predict(rows).shape == (6, 50)
    assert streamed.score(rows) < 0


def test_what_cannot_be_fitted_is_refused_before_rows_are_read(stored: Path) -> None:
    array = zarr.open_array(stored, mode="r+")
    array[3, 3] = np.nan  # a read would refuse this
    with pytest.raises(ConfigError, match="needs hard assignment"):
        GaussianMixture(2, schedule="minibatch", prepare=STEPS).fit(stored)
    with pytest.raises(ShapeError, match="asks for 9 components of 8 features"):
        GaussianMixture(2, prepare=[{"pca": 9}]).fit(stored)


@pytest.mark.parametrize("schedule", ["incremental", "squarem", "sparse", "stepwise"])
def test_every_schedule_sees_prepared_rows(schedule: Any) -> None:
    z = make_pipeline(StandardScaler(), PCA(3)).fit_transform(X)
    options: dict[str, Any] = {"schedule": schedule, "random_state": 0, "max_iter": 20, "tol": 0.01}
    # Rows of 8 and of 3 features make blocks of the same rows.
    own = GaussianMixture(2, prepare=STEPS, block_size="32 kB", **options).fit(X)
    other = GaussianMixture(2, block_size="12 kB", **options).fit(z)
    np.testing.assert_allclose(own.lower_bound_, other.lower_bound_, rtol=1e-6)
