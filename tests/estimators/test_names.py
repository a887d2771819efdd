"""Feature names belong to the model: stored, shown, and held against what is predicted."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from distributed import Client
from numpy.typing import NDArray
from sklearn.base import clone

import emdist
from emdist import GaussianMixture, KMeans, MiniBatchKMeans, Sweep
from emdist.errors import DataError, FeatureNamesError, StartError
from emdist.fit.events import Warned
from emdist.ingest import ingest
from emdist.inputs.names import Match, both, match
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.records import load_fitted, save_fitted
from emdist.jobs.run import open_job
from emdist.settings.config import DataSection, make_config
from emdist.store.places.location import Location
from emdist.store.sources.zarr_source import reference, zarr_source

NAMES = ["temp", "salt", "depth"]


def frame(x: NDArray[np.float64], names: list[str] = NAMES) -> pa.Table:
    return pa.table({name: x[:, i] for i, name in enumerate(names)})


def reversed_frame(x: NDArray[np.float64]) -> pa.Table:
    return frame(x[:, ::-1], NAMES[::-1])


@dataclass
class DataArray:
    """What of xarray's is looked at."""

    values: NDArray[np.float64]
    dims: tuple[str, ...]
    coords: dict[str, Any] = field(default_factory=dict)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[np.float64]:
        return self.values


@dataclass
class Coordinate:
    values: NDArray[Any]


@pytest.fixture
def named(x: NDArray[np.float64], tmp_path: Path) -> Path:
    """`x` as ingest stores a CSV with a header."""
    return _ingested(x, NAMES, tmp_path / "named.zarr")


@pytest.fixture
def turned(x: NDArray[np.float64], tmp_path: Path) -> Path:
    """The same with the columns in the reverse order."""
    return _ingested(x[:, ::-1], NAMES[::-1], tmp_path / "turned.zarr")


def _ingested(x: NDArray[np.float64], names: list[str], target: Path) -> Path:
    csv = target.with_suffix(".csv")
    np.savetxt(csv, x, delimiter=",", header=",".join(names), comments="")
    ingest(csv, target, rows_per_chunk=100)
    return target


def run(data: Path, folder: Path, **more: Any) -> Location:
    config = make_config(
        {
            "data": {"path": str(data)},
            "model": {"name": "kmeans", "n_components": 3},
            "run": {"folder": str(folder.parent), "key": folder.name},
            **more,
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    return Location(str(folder))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic",
                                    "aic", "complete"])  # fmt: skip
def test_every_method_refuses_reversed_columns(method: str, x: NDArray[np.float64]) -> None:
    est = GaussianMixture(3, random_state=0).fit(frame(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(est, method)(frame(x))
    with pytest.raises(FeatureNamesError) as caught:
        getattr(est, method)(reversed_frame(x))
    told = str(caught.value)
    assert "order" in told
    assert "temp, salt, depth" in told
    assert "depth, salt, temp" in told
    assert "X[model.feature_names_in_]" in told
    assert len(told) < 500


def test_names_come_from_a_path_and_are_held_against_paths_and_frames(
    x: NDArray[np.float64], named: Path, turned: Path
) -> None:
    est = KMeans(3, random_state=0).fit(str(named))
    assert est.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(est.predict(named), est.predict(frame(x)))
    for other in (turned, str(turned), zarr.open_array(turned), reversed_frame(x)):
        for method in ("predict", "transform", "score"):
            with pytest.raises(FeatureNamesError, match="order"):
                getattr(est, method)(other)
    with pytest.raises(FeatureNamesError, match="unseen at fit time:\n- wind"):
        est.predict(frame(x, ["temp", "salt", "wind"]))


def test_data_without_names_is_taken_in_its_order_with_scikit_learns_warning(
    x: NDArray[np.float64], named: Path, stored: Path
) -> None:
    est = KMeans(3, random_state=0).fit(named)
    for plain in (x, stored):
        with pytest.warns(UserWarning, match="X does not have valid feature names, but KMeans"):
            np.testing.assert_array_equal(est.predict(plain), est.predict(named))
    bare = KMeans(3, random_state=0).fit(x)
    for told in (frame(x), named):
        with pytest.warns(UserWarning, match="X has feature names, but KMeans was fitted without"):
            bare.predict(told)


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_names_survive_saving_pickling_and_copying(
    cls: Any, x: NDArray[np.float64], named: Path, tmp_path: Path
) -> None:
    for data in (named, frame(x)):
        est = cls(3, random_state=0).fit(data)
        est.save(tmp_path / "m")
        for back in (
            emdist.load(tmp_path / "m"),
            pickle.loads(pickle.dumps(est)),
            copy.deepcopy(est),
        ):
            assert back.feature_names_in_.tolist() == NAMES
            with pytest.raises(FeatureNamesError):
                back.predict(reversed_frame(x))
            back.save(tmp_path / "again")
            assert emdist.load(tmp_path / "again").feature_names_in_.tolist() == NAMES


def test_fitting_again_takes_the_names_of_the_new_data(x: NDArray[np.float64]) -> None:
    est = KMeans(3, random_state=0).fit(frame(x))
    assert est.fit(reversed_frame(x)).feature_names_in_.tolist() == NAMES[::-1]
    assert not hasattr(est.fit(x), "feature_names_in_")
    assert not hasattr(clone(est.fit(frame(x))), "feature_names_in_")


def test_a_stream_is_held_to_the_names_of_its_first_chunk(
    x: NDArray[np.float64], turned: Path
) -> None:
    est = MiniBatchKMeans(3, random_state=0).partial_fit(frame(x))
    assert est.partial_fit(frame(x)).feature_names_in_.tolist() == NAMES
    with pytest.raises(FeatureNamesError):
        est.partial_fit(reversed_frame(x))
    with pytest.raises(FeatureNamesError):
        est.partial_fit(turned)
    assert est.feature_names_in_.tolist() == NAMES


def test_a_warm_start_from_other_columns_is_refused(x: NDArray[np.float64]) -> None:
    est = GaussianMixture(2, random_state=0, warm_start=True).fit(frame(x))
    with pytest.raises(StartError, match=r"warm_start.*depth, salt, temp"):
        est.fit(reversed_frame(x))
    est.fit(frame(x))


def test_a_sweep_has_the_names_of_its_models(x: NDArray[np.float64], named: Path) -> None:
    sweep = Sweep(GaussianMixture(random_state=0), {"n_components": [1, 2]}).fit(named)
    assert sweep.feature_names_in_.tolist() == NAMES
    assert all(one.feature_names_in_.tolist() == NAMES for one in sweep.estimators_)
    with pytest.raises(FeatureNamesError):
        sweep.predict(reversed_frame(x))
    assert not hasattr(sweep.fit(x), "feature_names_in_")


def test_names_of_a_coordinate(x: NDArray[np.float64]) -> None:
    dims = ("station", "variable")
    texts = DataArray(x, dims, {"variable": Coordinate(np.array(NAMES))})
    est = KMeans(3, random_state=0).fit(texts)
    assert est.feature_names_in_.tolist() == NAMES
    with pytest.raises(FeatureNamesError):
        est.predict(DataArray(x, dims, {"variable": Coordinate(np.array(NAMES[::-1]))}))
    depths = DataArray(x, ("cast", "depth"), {"depth": Coordinate(np.array([0.0, 10.0, 20.0]))})
    est.fit(depths)
    assert est.feature_names_in_.tolist() == ["depth=0", "depth=10", "depth=20"]
    assert not hasattr(est.fit(DataArray(x, dims)), "feature_names_in_")


@pytest.mark.parametrize("version", [2, 3])
def test_names_of_a_coordinate_stored_beside_the_array(
    version: int, x: NDArray[np.float64], tmp_path: Path
) -> None:
    group = zarr.open_group(tmp_path / "g.zarr", mode="w", zarr_format=version)
    dims = {"dimension_names": ("row", "variable")} if version == 3 else {}
    data = group.create_array("data", shape=x.shape, chunks=(100, 3), dtype="f8", **dims)
    data[:] = x
    if version == 2:
        data.attrs["_ARRAY_DIMENSIONS"] = ["row", "variable"]
    source = zarr_source(reference(data))
    assert source.feature_names is None
    depths = group.create_array("variable", shape=(3,), chunks=(3,), dtype="f8")
    depths[:] = [0, 1, 2]
    assert source.feature_names == ("variable=0", "variable=1", "variable=2")
    data.attrs["feature_names"] = NAMES  # What ingest writes goes first.
    assert zarr_source(reference(data)).feature_names == tuple(NAMES)


def test_columns_that_ingest_numbered_are_no_names_to_others(
    x: NDArray[np.float64], named: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", x)
    ingest(tmp_path / "x.npy", tmp_path / "numbered.zarr")
    numbered = KMeans(3, random_state=0).fit(tmp_path / "numbered.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(numbered.predict(x), numbered.labels_)
    with pytest.warns(UserWarning, match="cannot be compared"):
        numbered.predict(frame(x))
    with pytest.warns(UserWarning, match="cannot be compared"):
        KMeans(3, random_state=0).fit(named).predict(tmp_path / "numbered.zarr")
    turned = _ingested(x[:, ::-1], ["x2", "x1", "x0"], tmp_path / "turned.zarr")
    with pytest.raises(FeatureNamesError, match="order"):
        numbered.predict(turned)


def test_labelling_refuses_other_names_and_writes_nothing(
    x: NDArray[np.float64], named: Path, turned: Path, stored: Path, tmp_path: Path
) -> None:
    folder = run(named, tmp_path / "run")
    out = Location(str(tmp_path / "labels.zarr"))
    for model in (folder, folder.child("final")):
        with pytest.raises(FeatureNamesError, match="another order") as caught:
            label_data(model, DataSection(path=str(turned)), out)
        assert "temp, salt, depth; the data has depth, salt, temp" in str(caught.value)
        assert "ingest --column`" in str(caught.value)
    other = _ingested(x, ["temp", "salt", "wind"], tmp_path / "other.zarr")
    with pytest.raises(FeatureNamesError, match="wind"):
        label_data(folder, DataSection(path=str(other)), out)
    assert not (tmp_path / "labels.zarr").exists()
    heard: list[Any] = []
    label_data(folder, DataSection(path=str(stored)), out, listen=heard.append)
    told = [event.message for event in heard if isinstance(event, Warned)]
    assert any(
        "the data has none" in message and "temp, salt, depth" in message for message in told
    )


def test_a_run_tells_the_names(named: Path, tmp_path: Path) -> None:
    folder = run(named, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["feature_names"] == NAMES
    assert load_fitted(folder)[1].feature_names == tuple(NAMES)
    assert emdist.load(tmp_path / "run").feature_names_in_.tolist() == NAMES
    assert inspect(folder)["result"]["feature_names"] == NAMES
    assert inspect(folder.child("final"))["feature_names"] == NAMES
    assert inspect(Location(str(named)))["feature_names"] == NAMES
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["data"]["feature_names"] == NAMES
    centres = emdist.load(tmp_path / "run").cluster_centers_
    told = [list(one["means"].values()) for one in summary["components"]]
    np.testing.assert_array_equal(told, centres)
    page = (tmp_path / "run" / "summary.md").read_text()
    assert "| component | share | rows labelled | temp | salt | depth |" in page
    assert "| features | temp, salt, depth |" in page


def test_a_run_from_before_there_were_names_goes_on(
    x: NDArray[np.float64], named: Path, tmp_path: Path
) -> None:
    run(named, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["feature_names"]
    path.write_text(json.dumps(record))
    for name in ("summary.json", "final/model.json", "final/model.safetensors"):
        (tmp_path / "run" / name).unlink()
    folder = run(named, tmp_path / "run")  # Resumed: another run would be refused.
    assert load_fitted(folder)[1].feature_names == tuple(NAMES)


def test_a_model_without_names_still_loads_and_labels(
    x: NDArray[np.float64], named: Path, tmp_path: Path
) -> None:
    folder = run(named, tmp_path / "run")
    section, fitted, _ = load_fitted(folder)
    old = Location(str(tmp_path / "old"))
    save_fitted(old, section, replace(fitted, feature_names=None), {})
    assert not hasattr(emdist.load(tmp_path / "old"), "feature_names_in_")
    heard: list[Any] = []
    out = Location(str(tmp_path / "labels.zarr"))
    label_data(old, DataSection(path=str(named)), out, listen=heard.append)
    told = [event.message for event in heard if isinstance(event, Warned)]
    assert any("the model has none" in message for message in told)


def test_names_do_not_travel_with_tasks(named: Path) -> None:
    names = [f"feature-{i}" for i in range(3)]
    zarr.open_array(named, mode="r+").attrs["feature_names"] = names
    source = zarr_source(reference(str(named)))
    assert source.feature_names == tuple(names)
    assert b"feature-1" not in pickle.dumps(source)


def test_names_on_a_cluster(x: NDArray[np.float64], named: Path) -> None:
    with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0") as client:
        est = KMeans(3, random_state=0, engine=client).fit(named)
        assert est.feature_names_in_.tolist() == NAMES
        est.fit(frame(x))
        with pytest.raises(FeatureNamesError):
            est.predict(reversed_frame(x))


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", 3], "abc", None, {"a": 1}])
def test_an_attribute_that_is_no_list_of_names_names_nothing(names: Any, stored: Path) -> None:
    zarr.open_array(stored, mode="r+").attrs["feature_names"] = names
    assert zarr_source(reference(str(stored))).feature_names is None


def test_long_lists_are_shown_where_they_differ() -> None:
    known = tuple(f"feature number {i} with a long name" for i in range(5000))
    found = (*known[:4000], known[4001], known[4000], *known[4002:])
    assert match(known, found) is Match.OTHER_ORDER
    told = both(known, found)
    assert "from feature 4000 on" in told
    assert len(told) < 400
    assert both(("a",), None) == "The model has a; the data has none."


def test_names_that_are_no_texts_are_refused_or_ignored_as_in_scikit_learn(
    x: NDArray[np.float64],
) -> None:
    pandas = pytest.importorskip("pandas")
    assert not hasattr(KMeans(3, random_state=0).fit(pandas.DataFrame(x)), "feature_names_in_")
    with pytest.raises(TypeError, match="all input features have string names"):
        KMeans(3, random_state=0).fit(pandas.DataFrame(x, columns=["a", 1, "b"]))


def test_the_error_is_one_of_data() -> None:
    assert issubclass(FeatureNamesError, DataError)
    assert issubclass(FeatureNamesError, ValueError)


@pytest.mark.parametrize("listed", [["a", "b"], "abc", [1, 2, 3], {"a": 1}])
def test_names_that_are_not_of_the_features_are_told(
    listed: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    array = zarr.create_array(tmp_path / "x", shape=x.shape, dtype=x.dtype)
    array[:] = x
    array.attrs["feature_names"] = listed
    est = KMeans(2, random_state=0).fit(str(tmp_path / "x"))
    assert not hasattr(est, "feature_names_in_")
    assert "is not a list of 3 texts" in caplog.text


def pandas_frame(x: Any, names: list[Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(x, columns=names)


def array_of_x(x: Any, names: list[Any]) -> Any:
    return DataArray(x, ("row", "c"), {"c": Coordinate(np.array(names))})


def table(x: Any, names: list[Any]) -> Any:
    return pa.table([x[:, i] for i in range(x.shape[1])], names=[str(name) for name in names])


@pytest.mark.parametrize("make", [pandas_frame, array_of_x, table])
@pytest.mark.parametrize("names", [["a", "b", "a"], [1, 2, 1]])
def test_columns_of_one_name_are_named(make: Any, names: list[Any], x: NDArray[np.float64]) -> None:
    est, twice = KMeans(3, init=x[:3]).fit(x), make(x, names)
    told = (
        rf"The columns of X do not have .*({names[0]}|c={names[0]}) occurs more .* columns 0, 2\)\."
    )
    for method in (est.fit, est.predict, est.score, est.transform):
        with pytest.raises(FeatureNamesError, match=told):
            method(twice)
    with pytest.raises(FeatureNamesError, match="of the given parameters do not have unique names"):
        KMeans.from_parameters(cluster_centers=twice)
    with pytest.raises(FeatureNamesError, match="The feature_names do not have unique names"):
        KMeans.from_parameters(cluster_centers=x[:3], feature_names=["a", "a", "b"])
    est.fit(np.asarray(x))  # The advice.


ORDER = ["a", "b", "c"]


@pytest.mark.parametrize("make", [pandas_frame, table, array_of_x])
@pytest.mark.parametrize(
    ("est", "name"),
    [
        (KMeans(3), "init"),
        (MiniBatchKMeans(3), "init"),
        (GaussianMixture(3), "means_init"),
        (GaussianMixture(3, covariance_type="tied"), "precisions_init"),
        (GaussianMixture(3, degrees_of_freedom_prior=5), "covariance_prior"),
    ],
    ids=str,
)
def test_a_start_has_the_names_of_the_data(
    est: Any, name: str, make: Any, x: NDArray[np.float64]
) -> None:
    value = x[:3] if "init" in name and name != "precisions_init" else np.diag([1.0, 2.0, 3.0])
    est = clone(est).set_params(random_state=0, max_iter=5, tol=1e9)
    data = pandas_frame(x, ORDER)
    methods = [est.fit, est.partial_fit] if hasattr(est, "partial_fit") else [est.fit]
    for names, told in (
        (ORDER[::-1], rf"{name} has c, b, a; X has a, b, c\. Pass it in the order of X, as {name}"),
        (["a", "b", "z"], rf"{name} has a, b, z; X has a, b, c\. .*rename the columns of {name}"),
    ):
        est.set_params(**{name: make(value, names)})
        for method in methods:
            with pytest.raises(
                FeatureNamesError, match=f"of {name} differ from those of X: .*{told}"
            ):
                method(data)
    found = est.set_params(**{name: make(value, ORDER)}).fit(data)
    wanted = clone(est).set_params(**{name: value}).fit(data)
    for one in ("cluster_centers_", "means_"):
        # A frame's values may lie column by column, which moves last bits.
        assert np.allclose(getattr(found, one, 0), getattr(wanted, one, 0), rtol=1e-12)


def test_a_series_of_features_and_a_sweep_have_the_names_of_the_data(
    x: NDArray[np.float64],
) -> None:
    data, pd = pandas_frame(x, ORDER), pytest.importorskip("pandas")
    prior = pd.Series([1.0, 2.0, 3.0], index=ORDER[::-1])
    est = GaussianMixture(2, mean_precision_prior=1.0, mean_prior=prior, random_state=0)
    for one in (est, Sweep(est, {"n_components": [1, 2]})):
        with pytest.raises(FeatureNamesError, match=r"mean_prior.* as mean_prior.loc\[X.columns\]"):
            one.fit(data)
    means = est.set_params(mean_prior=prior.loc[data.columns]).fit(data).means_  # The advice.
    assert np.array_equal(means, clone(est).set_params(mean_prior=[3.0, 2.0, 1.0]).fit(data).means_)


@pytest.fixture
def mixture(x: NDArray[np.float64]) -> Any:
    est = GaussianMixture(2, means_init=x[:2], random_state=0)
    return est.fit(pandas_frame(x, ORDER)).distribution()


@pytest.mark.parametrize("make", [pandas_frame, table])
def test_rows_of_a_distribution_have_its_names(
    mixture: Any, make: Any, x: NDArray[np.float64]
) -> None:
    right, turned, other = (make(x, names) for names in (ORDER, ORDER[::-1], ["a", "b", "z"]))
    assert mixture.feature_names == tuple(ORDER)
    for call in (mixture.log_density, mixture.density, mixture.labels, mixture.responsibilities):
        with pytest.raises(FeatureNamesError, match=r"c, b, a.* x\[\['a', 'b', 'c'\]\]"):
            call(turned)
        with pytest.raises(FeatureNamesError, match=r"has a, b, z.* rename x's columns"):
            call(other)
        with pytest.warns(UserWarning, match="x does not have valid feature names, but mixture"):
            wanted = call(x)
        assert np.array_equal(call(right), wanted)


def test_parts_of_a_distribution_keep_their_names(mixture: Any, x: NDArray[np.float64]) -> None:
    pair, pd = mixture.marginal([2, 0]), pytest.importorskip("pandas")
    assert pair.feature_names == ("c", "a")
    known, swapped = pandas_frame(x[:, [2, 0]], ["c", "a"]), pandas_frame(x[:, [0, 2]], ["a", "c"])
    assert pair.log_density(known).shape == (len(x),)
    assert mixture.conditional_mean([2, 0], known).shape == (len(x), 1)
    for call in (pair.log_density, lambda rows: mixture.conditional_mean([2, 0], rows)):
        with pytest.raises(FeatureNamesError, match="has c, a; the data has a, c"):
            call(swapped)
    values = pd.Series([1.0, 2.0], index=["c", "a"])
    left = mixture.conditional([2, 0], values)
    assert left.feature_names == ("b",)
    assert np.array_equal(left.mean(), mixture.conditional([2, 0], [1.0, 2.0]).mean())
    with pytest.raises(FeatureNamesError, match=r"values.loc\[\['a', 'c'\]\]"):
        mixture.conditional([0, 2], values)
    assert mixture.convolve(mixture).feature_names == tuple(ORDER)
    with pytest.raises(FeatureNamesError, match="This mixture has a, b, c; the other has c, b, a"):
        mixture.convolve(mixture.marginal([2, 1, 0]))
    assert mixture.convolve(mixture.marginal([2, 1, 0]).marginal([2, 1, 0])).n_components == 4
