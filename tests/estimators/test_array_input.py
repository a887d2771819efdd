"""Whatever holds an array parameter: masks are never dropped, NA is NaN, values are right."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pyarrow as pa
import pytest
import zarr
from numpy.typing import NDArray

import emdist
from emdist import (
    BayesianGaussianMixture,
    BinomialMixture,
    GaussianHMM,
    GaussianMixture,
    KCentroids,
    KMeans,
    PoissonHMM,
)
from emdist.errors import (
    ConfigError,
    DtypeError,
    EmdistError,
    NonFiniteError,
    StartError,
    WeightError,
)
from emdist.inputs.arrays import as_array

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

Rows = NDArray[np.float64]
NAN = float("nan")

#: Small rows of whole numbers, exact in every type, and the same with a value missing.
WHOLE = np.array([[0, 1], [1, 0], [9, 8], [8, 9], [1, 1], [9, 9]], np.int64)
HOLED = np.where(np.arange(12).reshape(6, 2) == 5, NAN, WHOLE)


def optional(x: Rows) -> list[list[float | None]]:
    """Rows as Arrow and polars take them: None for what is missing."""
    return [[None if np.isnan(v) else v for v in column] for column in np.asarray(x, float).T]


def frame_of(dtype: str) -> Callable[[Rows], Any]:
    def make(x: Rows) -> Any:
        a, b = optional(x)
        return pd.DataFrame({"a": pd.array(a, dtype=dtype), "b": pd.array(b, dtype=dtype)})

    return make


def arrow(kind: Any) -> Callable[[Rows], Any]:
    def make(x: Rows) -> Any:
        a, b = ([None if v is None else int(v) for v in column] for column in optional(x))
        return pa.table({"a": pa.array(a, kind), "b": pa.array(b, kind)})

    return make


def objects(x: Rows) -> Any:
    found = np.asarray(x, float).astype(object)
    found[np.isnan(np.asarray(x, float))] = None
    return found


FRAMES: dict[str, Callable[[Rows], Any]] = {
    "pandas float64": lambda x: pd.DataFrame(x, columns=["a", "b"]),
    "pandas Float64": frame_of("Float64"),
    "pandas Int64": frame_of("Int64"),
    "pandas int64[pyarrow]": frame_of("int64[pyarrow]"),
    "pandas double[pyarrow]": frame_of("double[pyarrow]"),
    "Arrow int64": arrow(pa.int64()),
    "Arrow int8": arrow(pa.int8()),
    "Arrow double": arrow(pa.float64()),
    "Arrow batch": lambda x: arrow(pa.int32())(x).to_batches()[0],
    "Arrow in chunks": lambda x: pa.concat_tables(
        [arrow(pa.int16())(x[:2]), arrow(pa.int16())(x[2:])]
    ),
    "polars": lambda x: pl.DataFrame(dict(zip("ab", optional(x), strict=True))),
    "objects with None": objects,
    "lists with None": lambda x: objects(x).tolist(),
    "lists with pandas NA": lambda x: [[pd.NA if v is None else v for v in r] for r in objects(x)],
}


@pytest.mark.parametrize("form", FRAMES)
def test_a_frame_gives_the_fit_of_its_numbers(form: str) -> None:
    found = KMeans(2, init=WHOLE[[0, 2]]).fit(FRAMES[form](WHOLE))
    wanted = KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE.astype(float))
    assert np.array_equal(found.cluster_centers_, wanted.cluster_centers_)
    assert found.labels_.tolist() == [0, 0, 1, 1, 0, 1]


@pytest.mark.parametrize("form", FRAMES)
def test_na_is_nan_and_its_policy_applies(form: str) -> None:
    x = FRAMES[form](HOLED)
    with pytest.raises(NonFiniteError, match="row 2 has nan in feature 1"):
        KMeans(2, random_state=0).fit(x)
    dropped = KMeans(2, init=WHOLE[[0, 3]], non_finite="drop").fit(x)
    kept = KMeans(2, init=WHOLE[[0, 3]]).fit(np.delete(WHOLE, 2, axis=0).astype(float))
    assert np.array_equal(dropped.cluster_centers_, kept.cluster_centers_)
    missing = GaussianMixture(2, means_init=WHOLE[[0, 3]], non_finite="missing").fit(x)
    plain = GaussianMixture(2, means_init=WHOLE[[0, 3]], non_finite="missing").fit(HOLED)
    assert np.array_equal(missing.means_, plain.means_)
    assert np.array_equal(missing.complete(x), plain.complete(HOLED))


def test_nullable_booleans() -> None:
    x = pd.DataFrame({"a": pd.array([True, False, None], dtype="boolean"), "b": [0.5, 1.5, 2.5]})
    found = as_array(x, "X")
    assert found.dtype == np.float64
    assert np.array_equal(found, [[1, 0.5], [0, 1.5], [NAN, 2.5]], equal_nan=True)
    arrow_booleans = pa.table({"a": pa.array([True, None])})
    assert np.array_equal(as_array(arrow_booleans, "X"), [[1.0], [NAN]], equal_nan=True)


def test_columns_without_na_keep_their_type() -> None:
    assert as_array(frame_of("Int64")(WHOLE), "X").dtype == np.int64
    assert as_array(arrow(pa.int8())(WHOLE), "X").dtype == np.int8
    narrow = pd.DataFrame({"a": pd.array([1.5, None], dtype="Float32")})
    assert as_array(narrow, "X").dtype == np.float32


SERIES: dict[str, Callable[[list[Any]], Any]] = {
    "masked": lambda v: np.ma.masked_invalid([NAN if one is None else one for one in v]),
    "list of masked": lambda v: [np.ma.masked if one is None else np.ma.array(one) for one in v],
}
ABSENT: dict[str, Callable[[list[Any]], Any]] = {
    "pandas": lambda v: pd.Series(v, dtype="Int64"),
    "pandas array": lambda v: pd.array(v, dtype="Float64"),
    "Arrow": lambda v: pa.array(v),
    "Arrow chunked": lambda v: pa.chunked_array([v[:2], v[2:]]),
    "polars": lambda v: pl.Series(v),
    "list": lambda v: v,
    "objects": lambda v: np.array(v, object),
    "Arrow scalars": lambda v: [pa.scalar(one, pa.int64()) for one in v],
}


@pytest.mark.parametrize("form", [*SERIES, *ABSENT])
def test_weights_from_everywhere(form: str) -> None:
    make = {**SERIES, **ABSENT}[form]
    weight = [1, 2, 3, 1, 2, 3]
    found = KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE, sample_weight=make(weight))
    wanted = KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE, sample_weight=np.array(weight, float))
    assert np.array_equal(found.cluster_centers_, wanted.cluster_centers_)
    assert found.inertia_ == wanted.inertia_ != KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE).inertia_


@pytest.mark.parametrize("form", SERIES)
def test_masked_weights_are_refused(form: str) -> None:
    weight = SERIES[form]([1, 2, None, 1, 2, None])
    for call in (KMeans(2).fit, GaussianMixture(2).fit):
        with pytest.raises(WeightError, match=r"sample_weight .*masked values.*filled\(0\)"):
            call(WHOLE, sample_weight=weight)
    filled = np.ma.filled(np.ma.masked_invalid([1, 2, NAN, 1, 2, NAN]), 0)  # the advice
    found = KMeans(1).fit(WHOLE, sample_weight=filled).cluster_centers_
    assert np.allclose(found, np.average(WHOLE, axis=0, weights=[1, 2, 0, 1, 2, 0])[None])


def test_masks_of_dask_arrays_are_refused_like_those_of_numpy() -> None:
    ones, rows = da.ones(6, chunks=2), da.from_array(WHOLE.astype(float), chunks=(2, 2))
    weight = da.ma.masked_where(da.arange(6, chunks=2) > 3, ones)
    est = GaussianMixture(2, random_state=0).fit(WHOLE)
    for call in (KMeans(2).fit, KMeans(2).fit(WHOLE).score, est.fit, est.score):
        with pytest.raises(
            WeightError, match=r"is a masked .* 2 .*da.*\.ma\.filled\(sample_weight, 0\)"
        ):
            call(WHOLE, sample_weight=weight)
    filled = da.ma.filled(weight, 0)  # The advice.
    found = KMeans(1).fit(WHOLE, sample_weight=filled).cluster_centers_
    assert np.allclose(found, WHOLE[:4].mean(axis=0)[None], rtol=1e-14)
    with pytest.raises(ConfigError, match=r"cluster_centers is a masked array with 6 masked"):
        KMeans.from_parameters(cluster_centers=da.ma.masked_where(rows > 5, rows))
    with pytest.raises(EmdistError, match="masked values"):
        est.distribution().log_density(da.ma.masked_where(rows > 5, rows))
    unmasked = da.ma.masked_where(ones > 1, ones)  # A mask that hides nothing is taken.
    found = KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE, sample_weight=unmasked)
    assert np.allclose(found.cluster_centers_, [[2 / 3, 2 / 3], [26 / 3, 26 / 3]], rtol=1e-14)


@pytest.mark.parametrize("form", ABSENT)
def test_absent_weights_are_refused_as_nan(form: str) -> None:
    with pytest.raises(WeightError, match="row 2: nan"):
        KMeans(2).fit(WHOLE, sample_weight=ABSENT[form]([1, 2, None, 1, 2, 3]))


MASKED: dict[str, Callable[[Rows], Any]] = {
    "masked": np.ma.masked_invalid,
    "list of masked rows": lambda x: [np.ma.masked_invalid(row) for row in x],
    "lists with masked values": lambda x: [
        [np.ma.masked if np.isnan(v) else v for v in row] for row in x
    ],
    "objects that are masked": lambda x: np.ma.array(x.astype(object), mask=np.isnan(x)),
}


@pytest.mark.parametrize("form", MASKED)
def test_masked_rows_are_refused_and_whole_ones_taken(form: str) -> None:
    for method in ("fit", "predict", "score", "transform"):
        est = KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE)
        with pytest.raises(DtypeError, match=r"masked values.*filled"):
            getattr(est, method)(MASKED[form](HOLED))
    found = KMeans(2, init=WHOLE[[0, 2]]).fit(MASKED[form](WHOLE.astype(float)))
    assert np.allclose(found.cluster_centers_, [[2 / 3, 2 / 3], [26 / 3, 26 / 3]], rtol=1e-14)


#: Every array parameter, a right value of it, and the class of the error.
PARAMETERS: list[tuple[Any, str, Any]] = [
    (KMeans(2), "init", [[0, 0], [9, 9]]),
    (GaussianMixture(2), "means_init", [[0, 0], [9, 9]]),
    (GaussianMixture(2), "weights_init", [0.5, 0.5]),
    (GaussianMixture(2, covariance_type="spherical"), "precisions_init", [1, 2]),
    (GaussianMixture(2, mean_precision_prior=1), "mean_prior", [4, 5]),
    (GaussianMixture(2, degrees_of_freedom_prior=3), "covariance_prior", [[2, 0], [0, 3]]),
    (BayesianGaussianMixture(n_components=2), "mean_prior", [4, 5]),
    (BinomialMixture(2), "n_trials", [9, 12]),
    (BinomialMixture(2, n_trials=9), "probabilities_init", [[0.1, 0.1], [0.9, 0.9]]),
    (KCentroids(2, dissimilarity="mahalanobis"), "matrix", [[2, 0], [0, 3]]),
    (GaussianHMM(2), "startprob_init", [0.25, 0.75]),
    (GaussianHMM(2), "transmat_init", [[0.5, 0.5], [0.25, 0.75]]),
    (GaussianHMM(2), "means_init", [[0, 0], [9, 9]]),
    (GaussianHMM(2), "covars_init", [[1, 2], [3, 4]]),
    (PoissonHMM(2), "lambdas_init", [[1, 2], [8, 9]]),
]


@pytest.mark.parametrize(("est", "name", "value"), PARAMETERS, ids=lambda v: str(v)[:30])
def test_every_array_parameter_takes_any_array_and_no_mask(est: Any, name: str, value: Any) -> None:
    def fitted(given: Any) -> Any:
        parameter = {"dissimilarity_options": {name: given}} if name == "matrix" else {name: given}
        return est.set_params(random_state=0, **parameter).fit(WHOLE)

    wanted = fitted(value)
    forms: list[Any] = [np.array(value), np.ma.array(value)]
    if np.ndim(value) == 1:
        forms += [pd.Series(value), pd.array(value), pa.array(value), pl.Series(value)]
    else:
        forms += [pd.DataFrame(value), [np.ma.array(row) for row in value], da.from_array(value)]
    for given in forms:
        found = fitted(given)
        for attribute in ("cluster_centers_", "means_", "probabilities_", "transmat_", "lambdas_"):
            if hasattr(wanted, attribute):
                assert np.array_equal(getattr(found, attribute), getattr(wanted, attribute))
    masked = np.ma.array(np.array(value), mask=np.zeros(np.shape(value), bool))
    masked[(0,) * masked.ndim] = np.ma.masked
    lazy = da.from_array(masked)
    for bad in (masked, list(masked), lazy, list(lazy)):
        with pytest.raises(EmdistError, match=f"{name}.*masked value"):
            fitted(bad)


def test_the_arrays_of_a_distribution_and_of_completion() -> None:
    est = GaussianMixture(2, means_init=WHOLE[[0, 2]], non_finite="missing").fit(WHOLE)
    mixture, masked = est.distribution(), np.ma.masked_invalid(HOLED)
    for call in (mixture.log_density, mixture.labels, mixture.responsibilities, est.complete):
        with pytest.raises(EmdistError, match="masked values"):
            call(masked)
    with pytest.raises(EmdistError, match="masked value"):
        mixture.conditional([0], np.ma.array([1.0], mask=[True]))
    with pytest.raises(EmdistError, match="masked value"):
        mixture.marginal(np.ma.array([0, 1], mask=[True, False]))
    frame = pl.DataFrame({"a": [0, 9], "b": [1, 9]})
    assert np.array_equal(mixture.log_density(frame), mixture.log_density([[0, 1], [9, 9]]))
    given = mixture.conditional(pd.Series([0]), pd.Series([9])).mean()
    assert np.array_equal(given, mixture.conditional([0], [9]).mean())


def test_masked_successes_and_trials() -> None:
    masked = np.ma.array([[1, 2]], mask=[[True, False]])
    with pytest.raises(DtypeError, match="successes is a masked array with 1 masked value"):
        BinomialMixture.pairs(masked, [[3, 3]])
    with pytest.raises(DtypeError, match="trials is a masked array"):
        BinomialMixture.pairs([[1, 2]], np.ma.array([[3, 3]], mask=[[True, False]]))
    trials = pl.DataFrame({"a": [3], "b": [3]})
    assert BinomialMixture.pairs(pd.DataFrame([[1, 2]]), trials).tolist() == [[1, 2, 2, 1]]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            pd.DataFrame({"a": [1.0, 2], "city": ["Kiel", "Rom"]}),
            "column 'city'.*text such as 'Kiel'",
        ),
        (pd.DataFrame({"a": pd.to_datetime(["2024-01-01"] * 2)}), "column 'a'.*dates"),
        (pd.DataFrame({"a": pd.Categorical(["x", "y"])}), "column 'a'.*text"),
        (pl.DataFrame({"a": [1, 2], "city": ["Kiel", "Rom"]}), "column 'city'.*text"),
        (pa.table({"a": [1, 2], "city": ["Kiel", None]}), "column 'city'.*text"),
        (pa.table({"a": [[1, 2], [3, 4]]}), "column 'a'"),
        (pd.DataFrame([["1", "2"], ["3", "4"]]), "text such as '1'"),
        (np.array([["1", "2"], ["3", "4"]], object), "text such as '1'"),
        (np.zeros(2, [("a", "f8"), ("b", "f8")]), "structured_to_unstructured"),
    ],
    ids=lambda v: str(v).replace("\n", " ")[:20],
)
def test_a_column_without_numbers_is_named(frame: Any, words: str) -> None:
    with pytest.raises(DtypeError, match=words):
        KMeans(2).fit(frame)


@pytest.mark.parametrize("names", [["a", 1], [0, "b"], [("a",), "b"]], ids=str)
def test_mixed_column_names_are_refused_before_anything_is_read(
    names: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame(WHOLE)
    frame.columns = pd.Index(names, dtype=object)
    monkeypatch.setattr(KMeans, "_planned", lambda *a: pytest.fail("it went on to the fit"))
    with pytest.raises(DtypeError, match="string names"):
        KMeans(2).fit(frame)


class Foreign:
    """Stands for classes of packages that are not installed here: known by name and module."""


def foreign(module: str, name: str, **members: Any) -> Any:
    cls = type(name, (Foreign,), {"__module__": module, **members})
    return cls()


def group() -> zarr.Group:
    found = zarr.create_group(zarr.storage.MemoryStore())
    inner = found.create_array("obsm/X_pca", shape=(6, 2), dtype="f8")
    inner[:] = WHOLE
    return found


def dataset(lazy: bool = False) -> Any:
    xarray = pytest.importorskip("xarray")
    data = da.from_array(WHOLE.astype(float)) if lazy else WHOLE.astype(float)
    return xarray.Dataset({"sst": (("time", "cell"), data), "mask": ("cell", [1, 0])})


def sparse() -> Any:
    import scipy.sparse

    return scipy.sparse.csr_array(WHOLE.astype(float))


#: The advice for datasets and groups.
PROFILES = "emdist.rows(X, {}, features=['depth'])"
SST = "emdist.rows(X, ['sst'], samples=['time'])"
COLUMNS = {"a": [0, 1, 9], "b": [1, 0, 9]}


def ocean() -> Any:
    xarray = pytest.importorskip("xarray")
    grid, dims = WHOLE.astype(float).reshape(-1, 1, 1, 2), ("time", "lat", "lon", "depth")
    return xarray.Dataset(
        {"area": ("lat", [1.0]), "TEMP": (dims, grid), "name": ("lat", ["a"]), "PSAL": (dims, grid)}
    )


def group_of_variables() -> Any:
    place = zarr.storage.MemoryStore()
    ocean().drop_vars("name").to_zarr(place, consolidated=False)
    return zarr.open_group(place, mode="r")


def store() -> Any:
    return group_of_variables().store


#: What is no array, how it is named, and the line of advice, which must work as it stands.
REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "zarr.Group": (group, "zarr.Group", "X['obsm/X_pca']"),
    "xarray.Dataset": (dataset, "xarray.Dataset with sst, mask", SST),
    "Dataset of profiles": (
        ocean, "xarray.Dataset with area, TEMP", PROFILES.format("['TEMP', 'PSAL']")
    ),
    "group of profiles": (
        group_of_variables, "zarr.Group", PROFILES.format("['PSAL', 'TEMP']")
    ),
    "lazy Dataset": (lambda: dataset(True), "xarray.Dataset", SST),
    "AnnData": (
        lambda: foreign("anndata._core.anndata", "AnnData", X=sparse(), obsm={"X_pca": WHOLE}),
        "AnnData object",
        "X.obsm['X_pca']",
    ),
    "AnnData, dense": (
        lambda: foreign("anndata", "AnnData", X=sparse(), obsm={}), "AnnData", "X.X.toarray()"
    ),
    "sparse matrix": (sparse, "[Ss]parse", "X.toarray()"),
    "dict": (
        lambda: dict(COLUMNS), "dict of 2", "numpy.column_stack(list(X.values()))"
    ),
    "generator": (lambda: (row for row in WHOLE), "generator", "numpy.array(list(X))"),
    "map": (lambda: map(np.asarray, WHOLE), "a map", "numpy.array(list(X))"),
    "list of matrices": (lambda: [WHOLE, WHOLE], "list of 2 matrices", "numpy.concatenate(X)"),
    "list of frames": (
        lambda: [pd.DataFrame(WHOLE, columns=["a", "b"])] * 2, "list of 2", "pandas.concat(X)"
    ),
    "list of Dask arrays": (
        lambda: [da.from_array(WHOLE)] * 2, "list of 2", "dask.array.concatenate(X)"
    ),
    "records": (
        lambda: np.rec.fromarrays(WHOLE.T.astype(float)),
        "structured array",
        "numpy.lib.recfunctions.structured_to_unstructured(X)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_array_is_named_and_the_advice_works(kind: str) -> None:
    import dask
    import numpy
    import numpy.lib.recfunctions
    import pandas

    make, named, line = REFUSED[kind]
    with pytest.raises(DtypeError, match=named) as told:
        KMeans(2, random_state=0).fit(make())
    assert line in str(told.value)
    assert len(str(told.value)) < 500
    known = {"numpy": numpy, "dask": dask, "pandas": pandas, "emdist": emdist}
    given = eval(line, {"X": make(), **known})
    found = KMeans(2, random_state=0).fit(given)
    assert sorted(found.cluster_centers_.max(axis=1).tolist())[0] < 2


def test_a_list_of_paths_is_named_and_the_advice_works(tmp_path: Any) -> None:
    import dask

    paths = [str(tmp_path / name) for name in ("a.zarr", "b.zarr")]
    for path in paths:
        zarr.create_array(path, shape=WHOLE.shape, chunks=(6, 2), dtype="f8")[:] = WHOLE
    with pytest.raises(DtypeError, match="list of 2 paths") as told:
        KMeans(2).fit(paths)
    line = "dask.array.concatenate([dask.array.from_zarr(path) for path in X])"
    assert line in str(told.value)
    found = KMeans(2, random_state=0).fit(eval(line, {"dask": dask, "X": paths}))
    assert len(found.labels_) == 12


def test_a_set_and_other_objects_are_named() -> None:
    with pytest.raises(DtypeError, match="X is a set"):
        KMeans(2).fit({1.0, 2.0})
    with pytest.raises(DtypeError, match="X is a Foreign"):
        KMeans(2).fit(Foreign())
    with pytest.raises(WeightError, match="sample_weight is a sparse matrix"):
        KMeans(2).fit(WHOLE, sample_weight=sparse())
    with pytest.raises(StartError, match=r"init is a zarr\.Group"):
        KMeans(2, init=group()).fit(WHOLE)


def test_tensors_that_numpy_cannot_read() -> None:
    tensor = foreign(
        "torch", "Tensor", requires_grad=True, device=type("device", (), {"type": "cpu"})()
    )
    with pytest.raises(DtypeError, match=r"torch.Tensor.*X\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        KMeans(2).fit(tensor)


def test_every_estimator_parameter_named_init_or_prior_is_among_those_tested() -> None:
    known = {"init", "means_init", "weights_init", "precisions_init", "mean_prior",
             "covariance_prior", "probabilities_init", "rates_init", "init_params",
             "startprob_init", "transmat_init", "covars_init", "lambdas_init", "emissionprob_init",
             "emission_init"}  # fmt: skip
    numbers = {"mean_precision_prior", "degrees_of_freedom_prior", "weight_concentration_prior",
               "weight_concentration_prior_type", "n_init", "startprob_prior",
               "transmat_prior"}  # fmt: skip
    for name in emdist.__all__:
        parameters = inspect.signature(getattr(emdist, name)).parameters
        found = {p for p in parameters if p.endswith(("init", "prior"))}
        assert found <= known | numbers, name


#: What is no array, and what is said of it.
NEITHER: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: None, "is None, and there is no default for it"),
    "bytes": (lambda: b"x.zarr", r"is bytes, b'x.zarr', .*os.fsdecode\("),
    "text file": (lambda: io.TextIOWrapper(io.BytesIO()), r"is an open file .*numpy.loadtxt"),
    "file": (lambda: io.FileIO(__file__), r"is an open file of .* \(FileIO\)"),
    "file in memory": (lambda: io.BytesIO(b"1"), r"is an open file \(BytesIO\)"),
}


@pytest.mark.parametrize("what", NEITHER)
def test_what_is_no_array_is_named(what: str) -> None:
    make, told = NEITHER[what]
    with contextlib.ExitStack() as stack:
        bad, est = make(), KMeans(2, init=WHOLE[[0, 2]]).fit(WHOLE)
        stack.callback(getattr(bad, "close", lambda: None))
        for call in (est.fit, est.predict, est.score, GaussianMixture(2).partial_fit):
            with pytest.raises(DtypeError, match=f"^X {told}"):
                call(bad)
        with pytest.raises(ConfigError, match=f"^cluster_centers {told}"):
            KMeans.from_parameters(cluster_centers=bad)
        if bad is not None:
            with pytest.raises(WeightError, match=f"^sample_weight {told}"):
                est.fit(WHOLE, sample_weight=bad)


def test_a_store_is_opened_as_the_advice_says() -> None:

    opened = "zarr.open_group({}, mode='r')"
    with pytest.raises(DtypeError, match=r"store of Zarr \(MemoryStore\)") as told:
        KMeans(2).fit(store())
    assert opened.format("X") in str(told.value)
    data = store()
    with pytest.raises(DtypeError, match="store of Zarr") as told:
        emdist.rows(data, ["TEMP"], features="depth")
    line = opened.format("data")
    assert line in str(told.value)
    group = eval(line, {"zarr": zarr, "data": data})
    rows = emdist.rows(group, ["TEMP"], features="depth")
    assert KMeans(2, random_state=0).fit(rows).cluster_centers_.shape == (2, 2)


@pytest.mark.parametrize("kind", ["Session", "Repository", "IcechunkStore"])
def test_icechunk_is_opened_as_the_advice_says(kind: str) -> None:
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    ocean().drop_vars("name").to_zarr(session.store, consolidated=False)
    session.commit("data")
    session = repository.readonly_session("main")
    given = {"Session": session, "Repository": repository, "IcechunkStore": session.store}[kind]
    with pytest.raises(DtypeError, match=kind) as told:
        KMeans(2).fit(given)
    line = re.search(r"zarr\.open_group\(.*?, mode='r'\)", str(told.value))
    assert line is not None
    assert "TEMP" in eval(line[0], {"zarr": zarr, "X": given})


def test_rows_are_no_array_of_numpy() -> None:
    from sklearn.metrics import silhouette_score
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = emdist.rows(ocean(), ["TEMP", "PSAL"], features="depth")
    for use in (
        lambda: np.asarray(rows),
        lambda: np.array(rows, dtype=float),
        lambda: make_pipeline(StandardScaler(), KMeans(2)).fit(rows),
        lambda: silhouette_score(rows, [0, 1]),
        lambda: cross_val_score(KMeans(2), rows),
    ):
        with pytest.raises(DtypeError, match=r"Only emdist reads.*emdist\.prepare\.StandardScaler"):
            use()


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (lambda: pd.date_range("2020", periods=3, tz="Europe/Paris"), "'t' that holds dates"),
        (lambda: pd.date_range("2020", periods=3), "'t' that holds dates"),
        (
            lambda: pd.period_range("2020", periods=3, freq="D"),
            "'t' that holds values of the type P",
        ),
    ],
)
def test_columns_that_are_no_numbers_are_named(column: Callable[[], Any], told: str) -> None:
    with pytest.raises(DtypeError, match=told):
        KMeans(2).fit(pd.DataFrame({"a": [1.0, 2.0, 3.0], "t": column()}))


def test_a_column_as_weights_is_passed_as_the_advice_says() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 9.0], "count": [1.0, 1.0, 2.0]})
    with pytest.raises(ConfigError, match="sample_weight is 'count'") as told:
        KMeans(1).fit(frame[["a"]], sample_weight="count")
    line = "frame['count']"
    assert line in str(told.value)
    found = KMeans(1).fit(frame[["a"]], sample_weight=eval(line, {"frame": frame}))
    assert found.cluster_centers_[0, 0] == pytest.approx(21 / 4)
