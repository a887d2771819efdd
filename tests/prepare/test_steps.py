"""Steps give what scikit-learn's transformers and pandas give, to 1e-10."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import Normalizer, StandardScaler

from emdist.errors import (
    ConfigError,
    DataError,
    DomainError,
    NonFiniteError,
    ShapeError,
    WeightError,
)
from emdist.prepare.making import make_steps, step_of_text, steps_as_config
from tests.prepare.rows import correlated, learned, with_gaps

X = correlated()
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


@pytest.mark.parametrize("with_mean", [True, False])
@pytest.mark.parametrize("with_std", [True, False])
def test_standardise_is_the_standard_scaler(with_mean: bool, with_std: bool) -> None:
    options = {"with_mean": with_mean, "with_std": with_std}
    made, y = learned(X, [{"standardise": options}])
    wanted = StandardScaler(**options).fit(X)
    np.testing.assert_allclose(y, wanted.transform(X), **CLOSE)
    np.testing.assert_allclose(made.inverse(y), X, **CLOSE)


def test_standardise_leaves_missing_values_out() -> None:
    x = with_gaps(X)
    made, y = learned(x, ["standardise"], missing=True)
    wanted = StandardScaler().fit(x)
    np.testing.assert_allclose(y, wanted.transform(x), **CLOSE)
    np.testing.assert_allclose(made.learned[0]["mean"], wanted.mean_, **CLOSE)
    np.testing.assert_allclose(made.learned[0]["variance"], wanted.var_, **CLOSE)


def test_weights_are_numbers_of_equal_rows() -> None:
    weight = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    made, y = learned(X, ["standardise", {"pca": 3}], weight)
    scaler = StandardScaler().fit(repeated)
    wanted = PCA(3, svd_solver="full").fit(scaler.transform(repeated))
    np.testing.assert_allclose(y, wanted.transform(scaler.transform(X)), **CLOSE)
    np.testing.assert_allclose(made.learned[1]["variance"], wanted.explained_variance_, **CLOSE)


def test_a_feature_without_spread_is_not_scaled_and_named() -> None:
    x = X.copy()
    x[:, 2] = 7.1
    made, y = learned(x, ["standardise"])
    np.testing.assert_allclose(y, StandardScaler().fit_transform(x), **CLOSE)
    assert made.doubts[0].startswith("standardise: the feature x2 has the same value in all rows")


def test_variables_share_mean_and_spread() -> None:
    groups = [[0, 2, 4], [1, 3, 5, 6, 7]]
    _, y = learned(X, [{"standardise": {"by": "variable", "groups": groups}}])
    for group in groups:
        wanted = StandardScaler().fit_transform(X[:, group].reshape(-1, 1))
        np.testing.assert_allclose(y[:, group], wanted.reshape(len(X), -1), **CLOSE)
    with pytest.raises(ConfigError, match="the data do not say to which variable"):
        learned(X, [{"standardise": "variable"}])
    with pytest.raises(ConfigError, match="the groups hold 2 features, but the rows have 8"):
        learned(X, [{"standardise": {"by": "variable", "groups": [[0, 1]]}}])


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("components", [None, 3, 0.9])
def test_pca_is_scikit_learns(components: Any, whiten: bool) -> None:
    made, y = learned(X, [{"pca": {"components": components, "whiten": whiten}}])
    wanted = PCA(components, whiten=whiten, svd_solver="full").fit(X)
    found = made.learned[0]
    np.testing.assert_allclose(y, wanted.transform(X), **CLOSE)
    np.testing.assert_allclose(found["components"], wanted.components_, **CLOSE)
    np.testing.assert_allclose(found["variance"], wanted.explained_variance_, **CLOSE)
    np.testing.assert_allclose(found["ratio"], wanted.explained_variance_ratio_, **CLOSE)
    np.testing.assert_allclose(found["noise"], wanted.noise_variance_, **CLOSE)
    np.testing.assert_allclose(made.inverse(y), wanted.inverse_transform(wanted.transform(X)),
                               **CLOSE)  # fmt: skip
    assert made.names_out(None) == tuple(f"pca{j}" for j in range(y.shape[1]))


def test_standardise_and_pca_take_one_pass_and_are_those_of_scikit_learn() -> None:
    made, y = learned(X, ["standardise", {"pca": 4}])
    assert made.notes == ()
    z = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(y, PCA(4, svd_solver="full").fit_transform(z), **CLOSE)


def test_an_offset_costs_no_digits() -> None:
    centred = X - X.mean(axis=0)
    _, near = learned(centred, ["standardise", {"pca": 4}])
    _, far = learned(centred + 2.0**20, ["standardise", {"pca": 4}])
    np.testing.assert_allclose(far, near, atol=1e-9)


def test_any_order_is_as_meant_and_told_if_it_takes_more_passes() -> None:
    x = np.abs(X - X.min(axis=0))
    steps = ["log1p", {"normalise": "l1"}, "standardise", {"clip": [-2, 2]}, {"pca": 3}]
    made, y = learned(x, steps)
    z = StandardScaler().fit_transform(Normalizer("l1").fit_transform(np.log1p(x)))
    wanted = PCA(3, svd_solver="full").fit_transform(np.clip(z, -2, 2))
    np.testing.assert_allclose(y, wanted, **CLOSE)
    assert made.notes == ("prepare learned in 2 passes over the data.",)
    made, y = learned(X, [{"pca": 4}, "standardise", {"pca": 2}])
    first = PCA(4, svd_solver="full").fit_transform(X)
    wanted = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(first))
    assert made.notes == ()
    # After scaling, all variances are 1: the components are not determined, but their size is.
    np.testing.assert_allclose((y**2).sum(), (wanted**2).sum(), rtol=1e-10)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_normalise_is_the_normalizer(norm: Any) -> None:
    x = np.vstack([X, np.zeros(X.shape[1])])
    made, y = learned(x, [{"normalise": norm}])
    np.testing.assert_allclose(y, Normalizer(norm).fit_transform(x), **CLOSE)
    assert made.units == "in units after normalise"


def test_normalise_to_a_total() -> None:
    x = np.abs(X)
    _, y = learned(x, [{"normalise": {"total": 1e4}}, "log1p"])
    np.testing.assert_allclose(np.expm1(y).sum(axis=1), 1e4)
    with pytest.raises(DomainError, match=r"values >= 0, but row \d+ has -"):
        learned(X, [{"normalise": {"total": 1}}])
    with pytest.raises(ConfigError, match="norm and total exclude each other"):
        make_steps([{"normalise": {"norm": "l1", "total": 1}}])


def test_log1p_names_the_row_that_it_cannot_take() -> None:
    x = np.abs(X)
    x[1203, 4] = -1.0
    with pytest.raises(DomainError, match="but row 1203 has -1 in feature 4"):
        learned(x, ["log1p"])


def test_scores_of_incomplete_rows_are_those_of_rows_completed_by_the_pairwise_moments() -> None:
    x = with_gaps(X)
    step = {"pca": {"components": 3, "missing": "pairwise"}}
    made, y = learned(x, [step], missing=True)
    covariance, mean = pd.DataFrame(x).cov().to_numpy(), np.nanmean(x, axis=0)
    np.testing.assert_allclose(made.learned[0]["covariance"], covariance, **CLOSE)
    axes = made.learned[0]["components"]
    for row in (0, 7, 1999):
        seen = ~np.isnan(x[row])
        whole = x[row].copy()
        if not seen.all():
            known = np.linalg.solve(covariance[np.ix_(seen, seen)], x[row][seen] - mean[seen])
            whole[~seen] = mean[~seen] + covariance[np.ix_(~seen, seen)] @ known
        np.testing.assert_allclose(y[row], axes @ (whole - mean), rtol=1e-8, atol=1e-8)
    # Without gaps, nothing differs from complete rows.
    _, complete = learned(X, [step], missing=True)
    np.testing.assert_allclose(complete, PCA(3, svd_solver="full").fit_transform(X), **CLOSE)


def test_rows_without_any_value_stay_missing() -> None:
    x = with_gaps(X)
    x[5] = np.nan
    _, y = learned(x, [{"pca": {"components": 2, "missing": "pairwise"}}], missing=True)
    assert np.isnan(y[5]).all()
    assert np.isfinite(np.delete(y, 5, axis=0)).all()


def test_incomplete_rows_are_refused_by_default() -> None:
    x = X.copy()
    x[1500, 3] = np.nan
    for steps in ([{"pca": 2}], [{"normalise": "l2"}]):
        with pytest.raises(NonFiniteError, match="row 1500 has nan in feature 3"):
            learned(x, steps, missing=True)
    with pytest.raises(NonFiniteError, match="row 1500 has nan in feature 3"):
        learned(x, ["standardise"])
    x[1500, 3] = np.inf
    with pytest.raises(NonFiniteError, match="infinity: row 1500 has inf in feature 3"):
        learned(x, [{"clip": [0, 1]}, "standardise"], missing=True)


def test_pairwise_moments_that_are_no_covariance_are_refused() -> None:
    rng = np.random.default_rng(0)
    x = np.full((90, 3), np.nan)
    for pair, sign in (((0, 1), 1), ((1, 2), 1), ((0, 2), -1)):
        rows = slice(30 * sum(pair) - 30, 30 * sum(pair))
        a = rng.normal(size=30)
        x[rows, pair[0]], x[rows, pair[1]] = a, sign * a
    with pytest.raises(DataError, match="not positive semi-definite"):
        learned(x, [{"pca": {"components": 1, "missing": "pairwise"}}], missing=True)
    x = np.full((60, 2), np.nan)
    x[:30, 0], x[30:, 1] = rng.normal(size=30), rng.normal(size=30)
    with pytest.raises(DataError, match="too few rows have both x0 and x1"):
        learned(x, [{"pca": {"components": 1, "missing": "pairwise"}}], missing=True)


def test_what_pca_cannot_do_is_refused() -> None:
    with pytest.raises(ShapeError, match="asks for 9 components of 8 features"):
        learned(X, [{"pca": 9}])
    with pytest.raises(WeightError, match="total weight of the rows is 1"):
        learned(X, [{"pca": 2}], np.full(len(X), 1 / len(X)))
    with pytest.raises(ShapeError, match="all rows are equal"):
        learned(np.ones((300, 2)), [{"pca": 1}], block_bytes=1000)
    flat = np.hstack([X, X[:, :2]])
    made, _ = learned(flat, [{"pca": 10}])
    assert "vary in 8 directions only, but 10 components" in made.doubts[0]
    with pytest.raises(ConfigError, match="cannot whiten 10 components"):
        learned(flat, [{"pca": {"components": 10, "whiten": True}}])


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "int64", "bool"])
def test_other_types_are_computed_in_float64_and_rounded_once(dtype: str) -> None:
    x = (X.mean(axis=0) < X) if dtype == "bool" else np.abs(X).astype(dtype)
    _, y = learned(x, ["standardise", {"pca": 3}], block_bytes=4000)
    exact = x.astype(np.float64)
    wanted = PCA(3, svd_solver="full").fit_transform(StandardScaler().fit_transform(exact))
    assert y.dtype == (np.float64 if dtype == "int64" else np.float32)
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("log1p", "prepare: expected a list of steps"),
        (["pcas"], r"prepare\[0\]: 'pcas' is not known \(did you mean 'pca'\?\)"),
        ([3], r"prepare\[0\]: expected the name of a step"),
        (["log1p", {"pca": {"component": 1}}], r"prepare\[1\].pca.component is not a known key"),
        ([{"pca": 1.5}], r"prepare\[0\].pca.components is 1.5; expected a whole number"),
        ([{"pca": 0}], r"prepare\[0\].pca.components is 0; expected at least 1"),
        ([{"log1p": 2}], r"prepare\[0\].log1p: it has no value"),
        ([{"clip": {}}], r"prepare\[0\].clip: expected a limit"),
        ([{"clip": 3}], r"prepare\[0\].clip: expected two limits"),
        ([{"clip": [3, 1]}], r"prepare\[0\].clip.low is 3; expected less than high"),
        ([{"normalise": "l3"}], r"prepare\[0\].normalise.norm: expected 'l2', 'l1' or 'max'"),
        ([{"standardise": {"groups": [[0]]}}], "groups needs by: variable"),
        ([{"pca": {"solver": "randomised"}}], "components must be a whole number"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_steps(value)


def test_steps_have_one_form_for_each_meaning() -> None:
    assert steps_as_config(["normalize", {"pca": 8.0}, {"pca": {"components": 8}}]) == [
        "normalise",
        {"pca": {"components": 8}},
        {"pca": {"components": 8}},
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("log1p", "log1p"),
        ("pca=8", {"pca": {"components": 8}}),
        ("pca=0.95", {"pca": {"components": 0.95}}),
        ("pca=components:8,whiten:true", {"pca": {"components": 8, "whiten": True}}),
        ("normalise=total:1e4", {"normalise": {"total": 1e4}}),
        ("clip=0,10", {"clip": {"low": 0.0, "high": 10.0}}),
    ],
)  # fmt: skip
def test_steps_of_a_command_line(text: str, wanted: Any) -> None:
    assert steps_as_config([step_of_text(text)]) == [wanted]


def test_one_as_a_share_is_asked_back() -> None:
    with pytest.raises(ConfigError, match=r"components is 1\.0"):
        make_steps([{"pca": 1.0}])
    assert make_steps([{"pca": 1}])


def test_rows_that_cannot_be_moved_back_are_told() -> None:
    x = np.abs(X) + 1
    made, y = learned(x, ["log1p", {"normalise": "l2"}, "standardise"])
    with pytest.warns(UserWarning, match="normalise cannot be undone.* units after normalise"):
        back = made.inverse(y)
    logs = np.log1p(x)
    np.testing.assert_allclose(back, logs / np.linalg.norm(logs, axis=1)[:, None], **CLOSE)
    made, y = learned(x, ["log1p", "standardise"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(made.inverse(y), x, **CLOSE)
    for wrong in (y[0], y[:, :3]):
        with pytest.raises(ShapeError, match=r"expected prepared rows, \(n, "):
            made.inverse(wrong)


@pytest.mark.parametrize("scale", [1e155, 1e300, 1e-200, 1e-300])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_whose_norms_float64_cannot_hold_are_normalised(norm: str, scale: float) -> None:
    x = np.random.default_rng(0).normal(size=(6, 3))
    _, found = learned(x * scale, [{"normalise": norm}])
    np.testing.assert_allclose(found, Normalizer(norm=norm).fit_transform(x), rtol=1e-14)
