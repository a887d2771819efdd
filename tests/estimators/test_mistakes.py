"""Every mistake is told in the words of the user who made it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from emdist import (
    BayesianGaussianMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    KCentroids,
    KMeans,
    MiniBatchKMeans,
    MultinomialMixture,
    PoissonMixture,
    ProductMixture,
    load,
)
from emdist.errors import ConfigError, EmdistError

Rows = NDArray[np.float64]

NAN, INF = float("nan"), float("inf")


def bad_for(shape: tuple[int, ...]) -> list[Any]:
    """Arrays that are no start of `shape`."""
    return [
        np.zeros((*shape[:-1], shape[-1] + 1)),
        np.zeros(shape[:-1]),
        np.full(shape, NAN),
        np.full(shape, 1j),
        np.full(shape, "a"),
        "nonsense",
        len,
    ]


def _shown(value: Any) -> str:
    """A name of a test that is the same in every process: no addresses."""
    named = getattr(value, "__name__", None) or str(value).replace("\n", "")[:24]
    return re.sub("0x[0-9a-f]+", "", named)


KMEANS: dict[str, list[Any]] = {
    "n_clusters": [0, -1, 2.5, "a", None, [3], NAN, 601],
    "init": ["foo", "", 5, None, len, lambda x, k, rng: x[:k], *bad_for((3, 3))],
    "n_init": [0, -1, 1.5, "foo", None],
    "max_iter": [0, -1, 1.5, "a"],
    "tol": [-1, "a", NAN, INF],
    "random_state": ["a", -1, 1.5],
    "algorithm": ["foo", "full", None],
    "precision": ["float16", None, 5],
    "engine": [5, "threads", object(), len],
    "block_size": ["a", "-1 MiB", "0 MB", "1 PiB", 5, 0],
    "missing_chunks": ["foo", None],
    "corrupt_chunks": ["foo", None, "fill"],
    "on_collapse": ["foo", 5],
    "non_finite": ["foo", None],
}

MIXTURE: dict[str, list[Any]] = {
    "assignment": ["firm", None, 5],
    "assignment_options": [{"start": 2.0}, 5, "a"],
    "n_components": [0, -1, 2.5, "a", None, 601],
    "covariance_type": ["foo", "diagonals", None, 5, ["full"]],
    "tol": [-1, "a", NAN, INF],
    "reg_covar": [-1, "a", None, NAN, INF],
    "max_iter": [0, "a"],
    "n_init": [0, None],
    "init_params": ["foo", 5, len, ["kmeans"]],
    "weights_init": [[1, 1, 1], [-1, 1, 1], 0.5, *bad_for((3,))],
    "means_init": bad_for((3, 3)),
    "precisions_init": [
        np.zeros((3, 3, 3)),
        -np.ones((3, 3, 3)),
        np.array([[[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]] * 3),
        *bad_for((3, 3, 3)),
    ],
    "random_state": ["a", -1],
    "on_collapse": ["foo"],
    "precision": ["f"],
    "engine": [5],
    "block_size": ["a"],
    "missing_chunks": ["foo"],
    "corrupt_chunks": ["foo"],
    "non_finite": ["foo"],
}

#: Parameters whose error speaks of what they mean instead.
_OTHER_WORDS = {"n_clusters": "n_clusters|n_samples", "n_components": "n_components|n_samples"}


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [(KMeans, n, v) for n, values in KMEANS.items() for v in values]
    + [(GaussianMixture, n, v) for n, values in MIXTURE.items() for v in values],
    ids=_shown,
)
def test_a_bad_parameter_is_named(cls: Any, name: str, value: Any, x: Rows) -> None:
    settings = {"random_state": 0, name: value}
    if name not in ("n_clusters", "n_components"):
        settings["n_clusters" if cls is KMeans else "n_components"] = 3
    wanted = _OTHER_WORDS.get(name, "weights" if name == "weights_init" else name)
    with pytest.raises(EmdistError, match=wanted) as caught:
        cls(**settings).fit(x)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("kind", ["tied", "diag", "spherical"])
def test_bad_precisions_of_every_type(kind: str, x: Rows) -> None:
    shape = {"tied": (3, 3), "diag": (3, 3), "spherical": (3,)}[kind]
    for value in (-np.ones(shape), np.zeros(shape), *bad_for(shape)):
        with pytest.raises(ValueError, match="precisions_init"):
            GaussianMixture(3, covariance_type=kind, precisions_init=value).fit(x)


NO_DATA: dict[str, tuple[Any, str]] = {
    "NaN": (np.array([[1.0], [NAN], [2.0]]), "NaN or infinity.*row 1"),
    "Inf": (np.array([[1.0], [INF], [2.0]]), "NaN or infinity.*inf in feature 0"),
    "one dimension": (np.arange(5.0), "Reshape your data"),
    "three dimensions": (np.zeros((4, 3, 2)), "3 dimension"),
    "a number": (5.0, "0 dimension"),
    "complex": (np.full((4, 2), 1j), "Complex data not supported"),
    "objects": (np.array([["a", object()]] * 4), "holds text such as 'a' where numbers"),
    "text": (np.array([["a", "b"]] * 4), "encode the categories"),
    "dates": (np.zeros((4, 2), "M8[s]"), "convert dates"),
    "ragged": ([[1.0], [1.0, 2.0]], "same length"),
    "no rows": (np.zeros((0, 3)), r"0 sample\(s\)"),
    "no features": (np.zeros((3, 0)), r"0 feature\(s\)"),
    "None": (None, "X is None"),
    "masked": (np.ma.masked_less(np.arange(8.0).reshape(4, 2), 2), "masked values"),
    "dask, three dimensions": (da.zeros((4, 3, 2)), "two dimensions"),
    "dask, NaN": (da.from_array(np.array([[1.0], [NAN], [2.0]]), chunks=2), "NaN or infinity"),
    "dask, text": (da.from_array(np.array([["a"], ["b"], ["c"]])), "Convert|encode"),
    "nothing there": ("/nowhere/x.zarr", "nothing at /nowhere/x.zarr"),
    "an empty path": ("", "path"),
    "an unknown scheme": ("ftp://host/x.zarr", "scheme ftp"),
}


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
@pytest.mark.parametrize("name", NO_DATA)
def test_data_that_cannot_be_clustered(cls: Any, name: str, x: Rows) -> None:
    data, words = NO_DATA[name]
    with pytest.raises(EmdistError, match=words):
        cls(2).fit(data)
    shape = getattr(data, "shape", ())
    d = shape[1] if len(shape) == 2 and 0 not in shape else 3
    est = cls(2).fit(np.resize(x, (60, d)))
    with pytest.raises(EmdistError, match=words):
        est.predict(data)


def test_stored_data_that_cannot_be_clustered(tmp_path: Path) -> None:
    for name, shape, dtype, words in (
        ("one", (5,), "f8", "Reshape your data"),
        ("three", (5, 2, 2), "f8", "3 dimension"),
        ("empty", (0, 2), "f8", r"0 sample\(s\)"),
        ("complex", (5, 2), "c16", "real and imaginary"),
    ):
        zarr.create_array(tmp_path / name, shape=shape, chunks=(1,) * len(shape), dtype=dtype)
        with pytest.raises(EmdistError, match=words):
            KMeans(2).fit(tmp_path / name)
    (tmp_path / "rows.csv").write_text("1,2\n")
    with pytest.raises(EmdistError, match=r"emdist ingest rows\.csv"):
        KMeans(2).fit(tmp_path / "rows.csv")
    with pytest.raises(EmdistError, match="is a folder"):
        KMeans(2).fit(tmp_path)


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_too_few_rows(cls: Any) -> None:
    with pytest.raises(ValueError, match="n_samples=3 should be >= 4"):
        cls(4).fit(np.eye(3))
    with pytest.raises(ValueError, match=r"only 2 distinct rows.*at most 2"):
        cls(3).fit(np.repeat(np.eye(2), 5, axis=0))
    with pytest.raises(ValueError, match="only 2 distinct rows with weight"):
        cls(3).fit(np.eye(3), sample_weight=[1, 1, 0])


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ([1, 1, -1, 1], "negative"),
        ([1, 1, NAN, 1], "not finite.*row 2"),
        ([1, 1, INF, 1], "not finite"),
        ([1, 1, 1], r"shape \(3,\), expected \(4,\)"),
        ([[1], [1], [1], [1]], r"\(4, 1\)"),
        (2.0, r"expected \(4,\)"),
        ([0, 0, 0, 0], "all|zero"),
        (["a", "b", "c", "d"], "not real numbers"),
        ([1j, 1, 1, 1], "not real numbers"),
        ("/nowhere/w.zarr", "X as a Zarr array too"),
    ],
    ids=str,
)
@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_bad_weights(cls: Any, weight: Any, words: str) -> None:
    with pytest.raises(EmdistError, match=words):
        cls(2).fit(np.eye(4), sample_weight=weight)


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_another_number_of_features(cls: Any, x: Rows, stored: Path) -> None:
    est = cls(3, random_state=0).fit(x[:, :2])
    for data in (x, x.tolist(), stored, da.from_array(x)):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 2 features"):
            est.predict(data)
        with pytest.raises(ValueError, match="expecting 2 features"):
            est.score(data)


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_nan_is_refused_by_every_method(cls: Any, x: Rows) -> None:
    est = cls(3, random_state=0).fit(x)
    x[4, 1] = NAN
    for method in ("predict", "score", "transform", "predict_proba", "score_samples", "bic"):
        if hasattr(est, method):
            with pytest.raises(ValueError, match="row 4 has nan in feature 1"):
                getattr(est, method)(x)


def test_what_dask_arrays_do_not_have(x: Rows) -> None:
    data = da.from_array(x, chunks=(100, 3))
    with pytest.raises(ValueError, match="non_finite"):
        KMeans(3, non_finite="drop").fit(data)
    with pytest.raises(ValueError, match="block_size"):
        KMeans(3, block_size="1 MiB").fit(data)


@pytest.mark.parametrize("n", [0, -1])
def test_a_sample_of_nothing(n: int, x: Rows) -> None:
    with pytest.raises(ValueError, match="n_samples"):
        GaussianMixture(2, random_state=0).fit(x).sample(n)


def test_a_failed_fit_leaves_no_estimator_that_looks_fitted(x: Rows) -> None:
    est = KMeans(3)
    with pytest.raises(ValueError, match="NaN"):
        est.fit(np.full((5, 2), NAN))
    with pytest.raises(NotFittedError):
        est.predict(x)


def test_after_a_failed_second_fit_the_first_answers(x: Rows) -> None:
    est = KMeans(3, random_state=0).fit(x)
    wanted = est.predict(x)
    with pytest.raises(ValueError, match="NaN"):
        est.fit(np.full((5, 2), NAN))
    with pytest.raises(ValueError, match="expecting 3 features"):
        est.predict(x[:, :2])
    assert np.array_equal(est.predict(x), wanted)


def _product(**given: Any) -> ProductMixture:
    return ProductMixture(2, groups=[{"columns": "1:3", "family": "diag", **given}], ignored="0:1")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (_product(option={}), "groups[0].option is not a known key (did you mean 'options'?)"),
        (_product(options={"nosuch": 1}), "groups[0].options.nosuch is not a known key"),
        (ProductMixture(2, groups=[{"columns": "0:3"}]), "groups[0].family is missing."),
        (ProductMixture(2, groups=np.zeros((2, 2))), "the parameters: 2 errors\n  groups[0]: "),
        (
            ProductMixture(2, groups=[{"columns": [0, 1, 2, 2], "family": "diag"}]),
            "groups name feature(s) [2] more than once.",
        ),
        (ProductMixture(2, groups="3"), "groups='3'; expected a list with one dict for each"),
        (ProductMixture(2, ignored="0"), "ignored='0'; expected a list of indices, or a range"),
        (ProductMixture(2, ignored=-1), "ignored=-1; expected a list of indices, or a range"),
        (ProductMixture(2, ignored=np.zeros((2, 2))), "ignored=[[0.0, 0.0], [0.0, 0.0]]; expected"),
        (MiniBatchKMeans(2, n_batches=0), "n_batches: expected at least 1, got 0."),
        (MiniBatchKMeans(2, passes=0), "passes: expected at least 1, got 0."),
        (MiniBatchKMeans(2, n_batches="3"), "n_batches='3' is text; expected a number."),
        (
            KMeans(2, schedule="minibatch", schedule_options={"passes": "3"}),
            "schedule_options['passes']='3' is text; expected a number.",
        ),
        (
            KCentroids(2, dissimilarity="cosine", dissimilarity_options={"matrix": np.eye(3)}),
            "dissimilarity_options['matrix'] is not a known key: there are no options here. "
            "Leave dissimilarity_options out.",
        ),
        (
            KCentroids(2, dissimilarity="mahalanobis"),
            "dissimilarity_options: mahalanobis needs exactly one",
        ),
        (KMeans(2, n_init=np.array([1, 2])), "KMeans: n_init: expected a whole number, got [1, 2]"),
        (KMeans(2, schedule=True), "KMeans: schedule: expected one of auto, batch, "),
        (
            BinomialMixture(2, n_trials=[3, 3]),
            "n_trials has 2 values, but the data have 3 features",
        ),
        (
            GaussianMixture(2, init_params="kmean"),
            "init_params='kmean' is not known (did you mean 'kmeans'?); choose one of kmeans, "
            "k-means++, k-means||, random_from_data, random, standardised, cleaned.",
        ),
        (
            KMeans(2, init="kmean"),
            "init='kmean' is not known (did you mean 'kmeans'?); choose one of k-means++, random, "
            "k-means||, kmeans, standardised, cleaned.",
        ),
    ],
    ids=str,
)
def test_the_message_names_the_parameters_of_the_class(made: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made.fit(np.ones((8, 3)))
    assert str(caught.value).startswith(words)


def test_codes_beyond_the_categories_name_the_parameter() -> None:
    with pytest.raises(EmdistError, match="set n_categories to the range of the data"):
        CategoricalMixture(2, n_categories=2).fit(np.arange(8.0)[:, None])


def test_a_range_of_ignored_features_needs_no_groups() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    rows[:, 0] = 0
    found = ProductMixture(2, ignored="0:1", random_state=0).fit(rows)
    assert found.parts_[0]["means"].shape == (2, 2)


@pytest.mark.parametrize("kind", ["GaussianMixture", None])
def test_a_kind_to_load_is_a_class(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind=.*expected a class of emdist"):
        load(tmp_path, kind)


@pytest.mark.parametrize(
    ("made", "advised"),
    [
        (KMeans(2), True),
        (GaussianMixture(2), True),
        (PoissonMixture(2), True),
        (MultinomialMixture(2), False),
        (BayesianGaussianMixture(n_components=2), False),
        (KCentroids(2, dissimilarity="cosine"), False),
        (GaussianMixture(2, noise=0.1), False),
        (_product(family="multinomial"), False),
    ],
    ids=str,
)
def test_nan_is_said_to_be_missing_only_where_it_can_be(made: Any, advised: bool) -> None:
    rows = np.arange(24.0).reshape(8, 3)
    rows[3, 2] = np.nan
    for refused in (made.fit, clone(made).fit(rows[4:] + np.eye(4, 3)).predict):
        with pytest.raises(EmdistError, match="set non_finite to 'drop'") as caught:
            refused(rows)
        assert ("non_finite to 'missing'" in str(caught.value)) == advised
