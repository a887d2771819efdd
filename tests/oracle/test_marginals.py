"""Rows with missing values against scipy's marginals, and EM by loops over rows."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

from emdist.fit.start import Given
from emdist.interfaces import Block, Floats, Numerics
from emdist.models.precision import CAREFUL
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    OPTIONS,
    Setting,
    draw,
    family_of,
    fit_array,
    given_of,
    prepare,
    relative,
)

GAUSSIAN = ["full", "tied", "diagonal", "spherical", "isotropic"]
NAMES = [*GAUSSIAN, "bernoulli", "binomial", "poisson", "categorical"]
K, D = 3, 4


def with_holes(x: Floats, seed: int = 0, share: float = 0.3) -> Floats:
    """`x` with values missing at random, at least one left in each row."""
    rng = np.random.default_rng([seed, 77])
    holes = rng.random(x.shape) < share
    holes[0] = True
    holes[holes.all(axis=1), 0] = False
    return np.where(holes, np.nan, x)


def one(name: str, value: float, k: int, j: int, p: Any) -> float:
    """Log-probability of one value in feature j of component k."""
    stats = scipy.stats
    if name == "categorical":
        return float(np.log(p.probabilities[k, j, int(value)]))
    m = p.means[k, j]
    if name == "isotropic":
        return float(stats.norm.logpdf(value, m, np.sqrt(0.5)))
    if name in ("diagonal", "spherical"):
        v = p.variances[k] if name == "spherical" else p.variances[k, j]
        return float(stats.norm.logpdf(value, m, np.sqrt(v)))
    trials = OPTIONS["binomial"]["trials"]
    found = {
        "bernoulli": lambda: stats.bernoulli.logpmf(value, m),
        "binomial": lambda: stats.binom.logpmf(value, trials, m / trials),
        "poisson": lambda: stats.poisson.logpmf(value, m),
    }[name]()
    return float(found)


def marginals(name: str, x: Floats, p: Any, k: int) -> Floats:
    """(n, k) log-densities of what each row has, by scipy."""
    out = np.zeros((len(x), k))
    for i, row in enumerate(x):
        seen = np.flatnonzero(~np.isnan(row))
        for c in range(k):
            if name in ("full", "tied"):
                s = p.covariance if name == "tied" else p.covariances[c]
                if len(seen):
                    out[i, c] = scipy.stats.multivariate_normal.logpdf(
                        row[seen], p.means[c, seen], s[np.ix_(seen, seen)]
                    )
            else:
                out[i, c] = sum(one(name, row[j], c, j, p) for j in seen)
    return out


def incomplete(name: str, k: int = K, **more: Any) -> Setting:
    return Setting(name, k, missing=True, **more)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_scored_by_the_marginal_of_what_they_have(name: str, assignment: str) -> None:
    whole = draw(name, 120, K, D)[0]
    x = with_holes(whole)
    x[1] = whole[1]
    x[1, 1:] = np.nan
    found = fit_array(x, incomplete(name, assignment=assignment, fit={"max_iter": 4}))
    params = found.params
    joint = marginals(name, x, params.components, K) + np.log(params.weights)
    for numerics in (Numerics("float64"), CAREFUL):
        got = found.assign(x, numerics)
        wanted = logsumexp(joint, axis=1) if assignment == "soft" else joint.max(axis=1)
        np.testing.assert_allclose(got.score, wanted, rtol=1e-9, atol=1e-9)
        resp = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        np.testing.assert_allclose(got.resp, resp, atol=1e-9)
    # The objective of a pass with these parameters is their mean.
    fit = found.fit
    for numerics in (Numerics("float64"), CAREFUL):
        best = found.state.best.params
        block = Block(0, 0, x)
        sums = fit.model.e_step(block, best, fit.origin, numerics)
        shared = fit.model.shared_step(block, fit.origin)
        total = type(sums)({**sums.fields, **shared.fields})
        assert fit.model.objective(total, best, numerics) == pytest.approx(wanted.mean(), rel=1e-10)


def diagonal_step(x: Floats, w: Floats, r: Floats, p: dict[str, Floats]) -> dict[str, Floats]:
    """The M-step by a loop over rows; cells that are missing count for nothing."""
    means, variances = p["means"].copy(), p["variances"].copy()
    for c in range(K):
        for j in range(x.shape[1]):
            pairs = [(w[i] * r[i, c], x[i, j]) for i in range(len(x)) if not np.isnan(x[i, j])]
            n = sum(a for a, _ in pairs)
            means[c, j] = sum(a * v for a, v in pairs) / n
            variances[c, j] = sum(a * (v - means[c, j]) ** 2 for a, v in pairs) / n
    return {"means": means, "variances": variances}


def full_step(x: Floats, w: Floats, r: Floats, p: dict[str, Floats]) -> dict[str, Floats]:
    """The M-step by a loop over rows: Ghahramani and Jordan 1994, equations 10 to 12."""
    tied = "covariance" in p
    means, outer, total = np.zeros_like(p["means"]), [], []
    for c in range(K):
        mean, s = p["means"][c], p["covariance"] if tied else p["covariances"][c]
        rows, extra = np.empty_like(x), np.zeros((len(x), x.shape[1], x.shape[1]))
        for i, row in enumerate(x):
            u, o = np.flatnonzero(np.isnan(row)), np.flatnonzero(~np.isnan(row))
            rows[i] = np.where(np.isnan(row), mean, row)
            gain = s[np.ix_(u, o)] @ np.linalg.inv(s[np.ix_(o, o)])
            rows[i, u] = mean[u] + gain @ (row[o] - mean[o])
            extra[i][np.ix_(u, u)] = s[np.ix_(u, u)] - gain @ s[np.ix_(o, u)]
        share = w * r[:, c]
        means[c] = share @ rows / share.sum()
        diff = rows - means[c]
        outer.append((share[:, None] * diff).T @ diff + np.einsum("i,ijk->jk", share, extra))
        total.append(share.sum())
    if tied:
        return {"means": means, "covariance": sum(outer) / sum(total)}
    return {
        "means": means,
        "covariances": np.array([a / n for a, n in zip(outer, total, strict=True)]),
    }


@pytest.mark.covering
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["diagonal", "full", "tied"])
def test_every_iteration_is_that_of_a_loop_over_rows(
    name: str, weighted: bool, offset: float
) -> None:
    x = with_holes(draw(name, 150, K, D)[0] @ np.triu(np.ones((D, D))), share=0.2)
    weight = np.random.default_rng(1).exponential(size=len(x)) if weighted else np.ones(len(x))
    start = draw(name, 150, K, D)[1]
    rounds = 4
    setting = incomplete(name, options={"reg_covar": 0.0}, fit={"max_iter": rounds, "tol": 0.0})
    arrays = {f.name: getattr(start, f.name) for f in fields(start)}
    given = {f: v for f, v in arrays.items() if f != "means"}
    pi = np.full(K, 1 / K)
    found = fit_array(
        x + offset,
        setting,
        Given(start.means + offset, pi, given),
        weight if weighted else None,
        2000,
    )
    step = diagonal_step if name == "diagonal" else full_step
    bounds = []
    for _ in range(rounds):
        joint = marginals(name, x, type(start)(**arrays), K) + np.log(pi)
        bounds.append(weight @ logsumexp(joint, axis=1) / weight.sum())
        r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        arrays = step(x, weight, r, arrays)
        pi = weight @ r / weight.sum()
    tol = 1e-9 if offset == 0 else 1e-7  # Storing x + 1e6 costs ten digits of x.
    assert relative(found.arrays["weights"], pi) < tol
    assert relative(found.means - offset, arrays["means"]) < tol
    for key in given:
        assert relative(found.arrays[key], arrays[key]) < tol, key
    np.testing.assert_allclose([h.objective for h in found.state.history], bounds, rtol=tol)
    assert (np.diff(bounds) > 0).all()


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "poisson", "categorical", "spherical"])
def test_the_m_step_divides_by_what_was_observed(name: str) -> None:
    x = with_holes(draw(name, 300, K, D)[0])
    smoothing = {} if name == "spherical" else {"smoothing": 0.5}
    fit = prepare(array_source(x), incomplete(name, options=smoothing))
    labels = np.random.default_rng(0).integers(0, K, len(x)).astype(np.int32)
    start = fit.model.start(np.zeros((K, D)), fit.survey.spread)
    sums = fit.model.first_step(Block(0, 0, x), start, labels, fit.origin)
    new = fit.model.translate(fit.model.m_step(sums, start, CAREFUL), fit.origin).components
    m = OPTIONS["binomial"]["trials"]
    for c in range(K):
        own = x[labels == c]
        n, s = (~np.isnan(own)).sum(axis=0), np.nansum(own, axis=0)
        if name == "spherical":
            np.testing.assert_allclose(new.means[c], s / n)
            wanted = np.nansum((own - s / n) ** 2) / n.sum() + 1e-6
            np.testing.assert_allclose(new.variances[c], wanted)
        elif name == "categorical":
            hot = (own[:, :, None] == np.arange(4)).sum(axis=0) + 0.5
            np.testing.assert_allclose(new.probabilities[c], hot / (n + 4 * 0.5)[:, None])
        else:
            wanted = {
                "bernoulli": (s + 0.5) / (n + 1),
                "binomial": m * (s + 0.5) / (n * m + 1),
                "poisson": (s + 0.5) / (n + 0.5),
            }[name]
            np.testing.assert_allclose(new.means[c], wanted)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "isotropic"])
def test_what_made_the_rows_is_found_from_two_thirds_of_them(name: str) -> None:
    d = 24 if name not in GAUSSIAN else D
    x, truth = draw(name, 20_000, K, d, seed=2)
    found = fit_array(with_holes(x), incomplete(name, fit={"tol": 1e-7}), given_of(truth))
    assert relative(found.means, family_of(name).locations(truth)) < 0.06
    for field in fields(truth):
        right = getattr(truth, field.name)
        scale = 1.0 if field.name != "means" else np.abs(right).max()
        assert np.abs(found.arrays[field.name] - right).max() < 0.07 * scale, field.name


def lloyd(x: Floats, centres: Floats, rounds: int) -> tuple[Floats, Floats]:
    """Lloyd's algorithm with squared distances over what each row has, by loops."""
    for _ in range(rounds):
        d2 = np.nansum((x[:, None] - centres) ** 2, axis=2)
        labels = d2.argmin(axis=1)
        centres = centres.copy()
        for c in range(len(centres)):
            own = x[labels == c]
            seen = (~np.isnan(own)).any(axis=0)
            centres[c, seen] = np.nanmean(own[:, seen], axis=0)
    return centres, np.nansum((x[:, None] - centres) ** 2, axis=2).min(axis=1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kmeans_is_lloyd_over_what_rows_have(dtype: str) -> None:
    x = with_holes(draw("spherical", 400, 4, D)[0]).astype(dtype)
    start = np.nan_to_num(x[10:14]).astype(np.float64)
    found = fit_array(x, Setting("kmeans", 4, missing=True), Given(start), block_bytes=2000)
    centres, nearest = lloyd(x.astype(np.float64), start, found.iterations)
    np.testing.assert_allclose(found.means, centres, rtol=1e-6)
    assert found.objective == pytest.approx(nearest.sum(), rel=1e-6)
    np.testing.assert_allclose(found.assign(x).score, nearest, rtol=1e-4, atol=1e-5)
    assert (np.diff([h.objective for h in found.state.history]) <= 1e-9).all()


def test_a_product_marginalises_part_by_part() -> None:
    """Two groups of independent Gaussians are one family, with the same holes."""
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(c, 1.0, (150, 4)) for c in (0.0, 3.0, 8.0)])
    x[rng.random(x.shape) < 0.25] = np.nan
    fit = {"max_iter": 15, "tol": 0.0, "init": "random"}
    groups = [{"columns": [2, 0], "family": "diagonal"}, {"columns": [1, 3], "family": "diagonal"}]
    parts = fit_array(x, Setting("product", 3, options={"groups": groups}, fit=fit, missing=True))
    whole = fit_array(x, Setting("diagonal", 3, fit=fit, missing=True))
    history = [[r.objective for r in found.state.history] for found in (parts, whole)]
    np.testing.assert_allclose(history[0], history[1], rtol=1e-10)
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-8)
