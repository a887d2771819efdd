"""Components far narrower than the data, against EM in extended precision."""

import numpy as np
import pytest

from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from tests.support.fitting import Fitting, Setting, fit_array, relative
from tests.support.reference_data import GAUSSIAN

Long = np.longdouble
K, D, ROWS, ITERATIONS = 2, 3, 300, 12


def _cholesky(a: Array) -> Array:
    lower = np.zeros_like(a)
    for i in range(len(a)):
        for j in range(i + 1):
            rest = a[i, j] - (lower[i, :j] * lower[j, :j]).sum()
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]
    return lower


def _log_density(x: Array, mean: Array, covariance: Array) -> Array:
    lower = _cholesky(covariance)
    z, diff = np.empty_like(x), x - mean
    for i in range(D):
        z[:, i] = (diff[:, i] - z[:, :i] @ lower[i, :i]) / lower[i, i]
    half_log = np.log(np.diag(lower)).sum()
    return -(z * z).sum(axis=1) / 2 - half_log - Long(D) / 2 * np.log(2 * Long(np.pi))


def _tie(name: str, covariances: Array, weights: Array) -> Array:
    if name == "tied":
        return np.tile(np.tensordot(weights, covariances, 1), (K, 1, 1))
    if name == "full":
        return covariances
    diagonal = np.stack([np.diag(c) for c in covariances])
    if name == "spherical":
        diagonal = np.repeat(diagonal.mean(axis=1, keepdims=True), D, axis=1)
    return np.stack([np.diag(v) for v in diagonal])


def brute_force(x: Array, means: Array, covariances: Array, name: str) -> tuple[Array, ...]:
    """EM in longdouble by its definition, second moments about the new means."""
    x, means, covariances = (np.array(a, Long) for a in (x, means, covariances))
    weights = np.full(K, Long(1) / K)
    for _ in range(ITERATIONS):
        pairs = zip(weights, means, covariances, strict=True)
        score = np.stack([np.log(w) + _log_density(x, m, c) for w, m, c in pairs], axis=1)
        top = score.max(axis=1, keepdims=True)
        resp = np.exp(score - top)
        total = resp.sum(axis=1, keepdims=True)
        bound = (top + np.log(total)).mean()
        resp /= total
        n = resp.sum(axis=0)
        weights, means = n / n.sum(), (resp.T @ x) / n[:, None]
        diffs = [x - mean for mean in means]
        moments = [(resp[:, c, None] * diffs[c]).T @ diffs[c] / n[c] for c in range(K)]
        covariances = _tie(name, np.stack(moments), weights)
    return weights, means, covariances, bound


def narrow_data(width: float, rotate: bool, dtype: str) -> Array:
    """A sheet `width` thick and a ball `width` wide, two units apart."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((ROWS, D))
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0] if rotate else np.eye(D)
    half = ROWS // 2
    sheet, ball = (z[:half] * [1, 1, width]) @ turn, z[half:] * width + 2.0
    return np.concatenate([sheet, ball]).astype(dtype)


def as_matrices(scales: Floats, name: str) -> Floats:
    if name == "full":
        return scales
    if name == "tied":
        return np.tile(scales, (K, 1, 1))
    return np.stack([np.eye(D) * value for value in scales])


def fitted(x: Array, name: str) -> tuple[Fitting, tuple[Array, ...]]:
    variance = x.astype(np.float64).var(axis=0)
    means = x[[3, ROWS - 3]].astype(np.float64)
    wide = np.tile(np.diag(variance), (K, 1, 1))
    if name == "spherical":
        wide = np.tile(np.eye(D) * variance.mean(), (K, 1, 1))
    scales = {
        "full": wide,
        "tied": wide[0],
        "diagonal": np.tile(variance, (K, 1)),
        "spherical": np.full(K, variance.mean()),
    }[name]
    setting = Setting(name, K, options={"reg_covar": 0.0}, fit={"max_iter": ITERATIONS, "tol": 0.0})
    given = Given(means, np.full(K, 1 / K), {GAUSSIAN[name][1]: scales})
    return fit_array(x, setting, given), brute_force(x, means, wide, name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("width", [1e-3, 1e-5])
@pytest.mark.parametrize("name", GAUSSIAN)
def test_narrow_components_keep_their_digits(name: str, width: float, dtype: str) -> None:
    rotate = name in ("full", "tied")
    # float32 stores numbers near 2 in steps of 2e-7; a ball narrower than that is not in the data.
    x = narrow_data(width, rotate, dtype)
    ours, (weights, means, covariances, bound) = fitted(x, name)
    assert ours.numerics.centred
    assert ours.numerics.dtype == "float64"
    assert relative(ours.arrays["weights"], weights) < 1e-10
    assert relative(ours.means, means) < 1e-10
    assert abs(ours.objective - float(bound)) < 1e-9
    found = as_matrices(ours.arrays[GAUSSIAN[name][1]], name)
    for got, wanted in zip(found, covariances, strict=True):
        assert relative(got, wanted) < 1e-9
        # A rotated sheet's thickness is a small difference of stored entries near 1: it can have
        # no more than eps / width^2 of relative accuracy, whoever computes it.
        floor = 100 * np.finfo(np.float64).eps / width**2 if rotate else 0.0
        thin, right = np.linalg.eigvalsh(got)[0], np.linalg.eigvalsh(wanted.astype(np.float64))[0]
        assert abs(thin - right) < (1e-9 + floor) * right


@pytest.mark.parametrize("name", ["diagonal", "spherical", "tied"])
def test_a_width_along_the_axes_is_right_to_eight_digits_at_1e_minus_5(name: str) -> None:
    # Two balls 1e-5 wide and 2 apart: the expansion about the origin has 6 digits of a variance.
    rng = np.random.default_rng(1)
    x = 1e-5 * rng.standard_normal((ROWS, D)) * [1, 2, 3]
    x[ROWS // 2 :] += 2.0
    ours, (_, _, covariances, bound) = fitted(x, name)
    assert ours.numerics.centred
    assert abs(ours.objective - float(bound)) < 1e-8
    found = as_matrices(ours.arrays[GAUSSIAN[name][1]], name)
    for got, wanted in zip(found, covariances, strict=True):
        diagonal = np.diag(wanted).astype(np.float64)
        np.testing.assert_allclose(np.diag(got), diagonal, rtol=1e-8)


def test_float32_data_never_collapse_by_rounding() -> None:
    # The first pass, in float32, sees a variance of 1e-8 as the difference of two numbers near 4
    # and finds 0: scikit-learn#30382. The pass is done again in float64.
    x = narrow_data(1e-4, False, "float32")
    for name in GAUSSIAN:
        ours, (_, _, covariances, _) = fitted(x, name)
        found = as_matrices(ours.arrays[GAUSSIAN[name][1]], name)
        assert relative(found[1], covariances[1]) < 1e-6, name


# 1e-21 squared is subnormal in float32: there, and with 3 digits.
@pytest.mark.parametrize("scale", [1e20, 1e-21])
@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize("name", ["full", "diagonal"])
@pytest.mark.filterwarnings("ignore:(overflow|invalid):RuntimeWarning")
def test_float32_values_whose_squares_float32_does_not_hold(
    name: str, precision: str, scale: float
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3)) + 8.0 * rng.integers(0, 2, (400, 1))
    x = (x * scale).astype(np.float32)
    options = {"reg_covar": 0.0}
    given = Given(x[[0, 1]].astype(np.float64))
    wanted = fit_array(x.astype(np.float64), Setting(name, 2, options=options), given)
    found = fit_array(x, Setting(name, 2, options=options, precision=precision), given)
    assert found.iterations == wanted.iterations
    assert relative(found.means, wanted.means) < 1e-8
    if precision == "auto":
        # Known before the first pass; where float32 is asked for, the pass is done again.
        assert found.numerics.dtype == "float64"
