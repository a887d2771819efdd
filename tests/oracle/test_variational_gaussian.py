"""Variational and most probable Gaussians against scikit-learn, scipy and brute force."""

import warnings
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.integrate import quad
from scipy.special import digamma, gammaln, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture

from emdist.fit.start import Given
from emdist.interfaces import Array, Floats
from tests.support.fitting import Fitting, Setting, blobs, fit_array, relative

KIND = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
SCALE = {
    "full": "covariances",
    "tied": "covariance",
    "diagonal": "variances",
    "spherical": "variances",
}
WEIGHTS = {
    "variational_dirichlet": "dirichlet_distribution",
    "variational_process": "dirichlet_process",
}
K, D = 4, 3

#: Priors in scikit-learn's words and in ours.
PRIORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "given": (
        {"mean_prior": [1.0, -1.0, 0.5], "mean_precision_prior": 0.3,
         "degrees_of_freedom_prior": 4.5, "weight_concentration_prior": 0.01},
        {"mean": [1.0, -1.0, 0.5], "mean_precision": 0.3, "degrees_of_freedom": 4.5},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class FromClusters(BayesianGaussianMixture):
    """scikit-learn's, from the clusters around given means."""

    def __init__(self, at: Floats, **options: Any) -> None:
        super().__init__(n_components=len(at), **options)
        self.at = at

    def _initialize_parameters(self, X: Array, random_state: Any, xp: Any = None) -> None:
        nearest = ((X[:, None] - self.at) ** 2).sum(axis=2).argmin(axis=1)
        self._initialize(X, np.eye(len(self.at))[nearest])


class GivenClusters(Given):
    """The clusters around means, which do not replace those estimated."""

    def over(self, params: Any, model: Any, spread: Any) -> Any:
        return params


def touching(n: int = 900, seed: int = 0) -> Floats:
    """Rows of three clusters, in steps that an offset of 1e6 does not round."""
    return np.round(blobs(n, D, 3, 2.5, seed)[0] * 2**20) / 2**20


@lru_cache
def theirs_after(name: str, weights: str, prior: str, iterations: int) -> FromClusters:
    x = touching()
    return FromClusters(
        x[:K], covariance_type=KIND[name], max_iter=iterations, tol=0.0,
        weight_concentration_prior_type=WEIGHTS[weights], **PRIORS[prior][0],
    ).fit(x)  # fmt: skip


def ours_after(x: Floats, name: str, weights: str, prior: str, iterations: int) -> Fitting:
    theirs, ours = PRIORS[prior]
    setting = Setting(
        f"variational_{name}",
        K,
        weights=weights,
        weights_options={"concentration": theirs.get("weight_concentration_prior")},
        options={"prior": ours},
        fit={"max_iter": iterations, "tol": 0.0},
    )
    return fit_array(x, setting, GivenClusters(x[:K].astype(np.float64)))


# ---- variational Bayes


@pytest.mark.covering
@pytest.mark.parametrize(
    ("prior", "offset", "dtype"),
    [
        ("default", 0.0, "float64"),
        # scikit-learn loses its digits at an offset: the unshifted data is the oracle.
        ("default", 1e6, "float64"),
        ("default", 0.0, "float32"),
        ("given", 0.0, "float64"),
    ],
)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", KIND)
def test_every_iteration_is_scikit_learns(
    name: str, weights: str, prior: str, offset: float, dtype: str
) -> None:
    x = (touching() + offset).astype(dtype)
    tol = 1e-8 if dtype == "float64" else 1e-4
    for iterations in (1, 20):
        theirs = theirs_after(name, weights, prior, iterations)
        ours = ours_after(x, name, weights, prior, iterations)
        params = ours.state.best.params
        kappa, nu = ours.fit.model.family.widths(params.components)
        concentration = ours.fit.model.weights.concentrations(params.counts)
        for what, (found, wanted) in {
            "means": (ours.means - offset, theirs.means_),
            "covariances": (ours.arrays[SCALE[name]], theirs.covariances_),
            "weights": (ours.arrays["weights"], theirs.weights_),
            "mean precision": (kappa, theirs.mean_precision_),
            "degrees of freedom": (nu, np.broadcast_to(theirs.degrees_of_freedom_, K)),
            "concentration": (concentration, np.array(theirs.weight_concentration_)),
        }.items():
            assert relative(found, wanted) < tol, (what, iterations)


def left_out(theirs: FromClusters, rows: int) -> float:
    """The constants that scikit-learn's bound lacks."""
    name, nu, c = theirs.covariance_type, theirs.degrees_of_freedom_prior_, 1.0 / K
    scale = np.asarray(theirs.covariance_prior_)
    if name in ("full", "tied"):
        log_det = np.linalg.slogdet(scale)[1]
    else:
        log_det = np.log(scale).sum() * (D if name == "spherical" else 1)
    halves = 0.5 * (nu - np.arange(D))
    wishart = 0.5 * nu * (log_det - D * np.log(2)) - gammaln(halves).sum()
    stick = theirs.weight_concentration_prior_type == "dirichlet_process"
    weights = K * np.log(c) if stick else gammaln(K * c) - K * gammaln(c)
    return float(K * wishart + weights - 0.5 * rows * D * np.log(2 * np.pi))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", KIND)
def test_the_bound_is_scikit_learns_and_its_constants(name: str, weights: str) -> None:
    x = touching(300)
    theirs = FromClusters(
        x[:K], covariance_type=KIND[name], max_iter=40, tol=0.0, reg_covar=0.0,
        weight_concentration_prior_type=WEIGHTS[weights],
    ).fit(x)  # fmt: skip
    options, fitting = {"reg_covar": 0.0}, {"max_iter": 41, "tol": 0.0}
    setting = Setting(f"variational_{name}", K, weights=weights, options=options, fit=fitting)
    ours = fit_array(x, setting, GivenClusters(x[:K]))
    bound = np.array([r.objective for r in ours.state.history]) * len(x)
    # Theirs lies between two of ours: after the M-step, with the responsibilities before it.
    wanted = np.ravel(theirs.lower_bounds_) + left_out(theirs, len(x))
    assert (bound[:-1] <= wanted + 1e-8).all()
    assert (wanted <= bound[1:] + 1e-8).all()
    assert bound[-1] - bound[0] > 1.0


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", KIND)
def test_rows_are_scored_and_labelled_as_scikit_learn_does(name: str, weights: str) -> None:
    x, theirs = touching(), theirs_after(name, weights, "default", 20)
    found = ours_after(x, name, weights, "default", 20).assign(x)
    assert relative(found.score, theirs.score_samples(x)) < 1e-8
    assert np.abs(found.resp - theirs.predict_proba(x)).max() < 1e-7


def stick_divergence(a: float, b: float, c: float) -> float:
    """Of Beta(a, b) from Beta(1, c), by quadrature."""
    q, p = scipy.stats.beta(a, b), scipy.stats.beta(1.0, c)
    edges = [q.ppf(t) for t in (1e-12, 0.01, 0.5, 0.99, 1 - 1e-12)]
    pairs = pairwise(edges)
    parts = [
        quad(lambda v: q.pdf(v) * (q.logpdf(v) - p.logpdf(v)), *e, epsabs=1e-13) for e in pairs
    ]
    return float(sum(part for part, _ in parts))


def weights_divergence(fitted: Fitting, weights: str, concentration: float) -> tuple[Floats, float]:
    """Expected log-weights of two components, and the divergence from the prior."""
    n = fitted.state.best.params.counts
    if weights == "variational_process":
        a, b = 1.0 + n, concentration + np.array([n[1], 0.0])
        both = digamma(a + b)
        logs = digamma(a) - both + np.array([0.0, digamma(b[0]) - both[0]])
        return logs, sum(stick_divergence(*pair, concentration) for pair in zip(a, b, strict=True))
    a = concentration + n
    q, p = scipy.stats.beta(*a), scipy.stats.beta(concentration, concentration)
    found = quad(
        lambda v: q.pdf(v) * (q.logpdf(v) - p.logpdf(v)), 0, 1, epsabs=1e-12, limit=500,
        points=[q.ppf(t) for t in (1e-9, 0.1, 0.5, 0.9, 1 - 1e-9)],
    )  # fmt: skip
    return digamma(a) - digamma(a.sum()), found[0]


@pytest.mark.covering
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["tied", "spherical"])  # The others are the last, with d = 1.
def test_the_bound_is_its_definition_by_quadrature(name: str, weights: str) -> None:
    x = np.array([[0.1], [0.4], [1.0], [3.0], [3.2], [4.1], [5.0]])
    kappa0, nu0, scale, m0, concentration = 0.4, 1.7, 0.8, 1.5, 0.6
    prior = {
        "mean": [m0], "mean_precision": kappa0, "degrees_of_freedom": nu0,
        "covariance": {"full": [[scale]], "tied": [[scale]], "diagonal": [scale]}.get(name, scale),
    }  # fmt: skip
    setting = Setting(
        f"variational_{name}", 2, options={"prior": prior, "reg_covar": 0.0},
        weights=weights, weights_options={"concentration": concentration},
        fit={"tol": 0.0, "max_iter": 400},
    )  # fmt: skip
    found = fit_array(x, setting, Given(x[[1, 5]]))
    params = found.state.best.params
    kappa, nu = found.fit.model.family.widths(params.components)
    width = np.broadcast_to(np.ravel(found.arrays[SCALE[name]]), 2)
    logs, lost = weights_divergence(found, weights, concentration)
    score = np.empty((len(x), 2))
    for k in range(2):
        q = scipy.stats.gamma(nu[k] / 2, scale=2 / (nu[k] * width[k]))
        p = scipy.stats.gamma(nu0 / 2, scale=2 / scale)
        m = found.means[k, 0]

        def mean(f: Any, q: Any = q) -> float:
            edges = q.ppf([1e-13, 0.05, 0.5, 0.95, 1 - 1e-13])
            return sum(
                quad(lambda v: q.pdf(v) * f(v), a, b, epsabs=1e-12)[0] for a, b in pairwise(edges)
            )

        # Given the precision v, the mean's posterior and prior are N(m, 1/kappa v), N(m0, ...).
        def inner(v: float, q: Any = q, p: Any = p, k: int = k, m: float = m) -> float:
            ratio = kappa0 / kappa[k]
            means = 0.5 * (ratio + kappa0 * v * (m - m0) ** 2 - 1 - np.log(ratio))
            return float(q.logpdf(v) - p.logpdf(v) + means)

        lost += mean(inner)
        half_log = mean(lambda v: 0.5 * np.log(v / (2 * np.pi)))
        score[:, k] = logs[k] + half_log - 0.5 * (mean(lambda v: v) * (x[:, 0] - m) ** 2)
        score[:, k] -= 0.5 / kappa[k]
    resp = softmax(score, axis=1)
    wanted = (resp * (score - np.log(resp))).sum() - lost
    assert found.objective * len(x) == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize("name", KIND)
def test_the_divergence_is_that_of_draws(name: str) -> None:
    x = touching(40)
    setting = Setting(f"variational_{name}", 2, fit={"max_iter": 10})
    found = fit_array(x, setting, Given(x[:2]))
    family, params = found.fit.model.family, found.state.best.params.components
    kappa, nu = family.widths(params)
    prior = family.numbers
    scale = prior.scale if prior.scale.ndim == 2 else np.eye(D) * prior.scale
    rng, draws, total, error = np.random.default_rng(0), 2_000, 0.0, 0.0
    for k in range(2):
        width = getattr(params, SCALE[name])
        width = width if name == "tied" else width[k]
        width = width if width.ndim == 2 else np.eye(D) * width
        q = scipy.stats.wishart(nu[k], np.linalg.inv(width) / nu[k])
        p = scipy.stats.wishart(prior.degrees, np.linalg.inv(scale))
        v = q.rvs(draws, random_state=rng)
        diff = params.means[k] - prior.mean
        ratio = prior.mean_precision / kappa[k]
        distance = np.einsum("i,nij,j->n", diff, v, diff)
        means = 0.5 * (D * (ratio - 1 - np.log(ratio)) + prior.mean_precision * distance)
        each = q.logpdf(v.T.swapaxes(0, 1)) - p.logpdf(v.T.swapaxes(0, 1)) + means
        total, error = total + each.mean(), error + each.var() / draws
    assert abs(-family.log_prior(params) - total) < 5 * np.sqrt(error)
    assert np.sqrt(error) < 0.02 * total


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", ["full", "diagonal", "spherical"])
def test_superfluous_components_are_left_empty(name: str, weights: str) -> None:
    x = blobs(900, D, 3, 9.0)[0]
    setting = Setting(
        f"variational_{name}", 8, weights=weights,
        weights_options={"concentration": 1e-3}, fit={"tol": 1e-6, "max_iter": 200},
    )  # fmt: skip
    found = np.sort(fit_array(x, setting).arrays["weights"])
    assert found[:5].max() < 1e-2
    assert found[5:].min() > 0.25


@pytest.mark.parametrize("name", KIND)
def test_narrow_components_keep_their_digits(name: str) -> None:
    # With a prior as narrow as they are; the default prior is as wide as the data.
    rng = np.random.default_rng(0)
    x = 1e-5 * rng.standard_normal((300, D)) * [1, 2, 3]
    x[150:] += 2.0
    narrow = {"full": np.eye(D), "tied": np.eye(D), "diagonal": np.ones(D)}.get(name, np.ones(()))
    narrow = (narrow * 1e-10).tolist()
    prior = {"mean_precision": 1e-13, "covariance": narrow}
    setting = Setting(
        f"variational_{name}", 2, options={"prior": prior, "reg_covar": 0.0},
        weights="variational_dirichlet", fit={"max_iter": 5, "tol": 0.0},
    )  # fmt: skip
    start = x[[3, 200]]
    found = fit_array(x, setting, GivenClusters(start))
    assert found.numerics.centred
    # About the first cluster and the second, each on its own: no digits to lose.
    halves = [x[:150].astype(np.longdouble), x[150:].astype(np.longdouble)]
    scatters = []
    for k, half in enumerate(halves):
        centre = half.mean(axis=0)
        lift = 1e-13 * 150 / (150 + 1e-13)
        m0 = x.astype(np.longdouble).mean(axis=0)
        diff = half - centre
        scatters.append(diff.T @ diff + lift * np.outer(centre - m0, centre - m0))
        assert np.abs(found.means[k] - centre.astype(float)).max() < 1e-13
    nu = D + 150
    full = [(np.eye(D) * 1e-10 + s) / nu for s in scatters]
    wanted = {
        "full": np.array(full),
        "tied": np.mean(full, axis=0),
        "diagonal": np.array([np.diag(c) for c in full]),
        "spherical": np.array([np.diag(c).mean() for c in full]),
    }[name].astype(float)
    assert relative(found.arrays[SCALE[name]], wanted) < 1e-9


# ---- the most probable value


def log_posterior(x: Floats, values: dict[str, Floats], name: str, prior: dict[str, Any]) -> float:
    """Log-likelihood and log-prior of a mixture by scipy's distributions."""
    stats = scipy.stats
    w, means, scales = values["weights"], values["means"], values[SCALE[name]]
    k, d = means.shape
    cov = [scales if name == "tied" else scales[c] for c in range(k)]
    dense = [c if np.ndim(c) == 2 else np.eye(d) * c for c in cov]
    each = [stats.multivariate_normal(m, c).pdf(x) for m, c in zip(means, dense, strict=True)]
    total = float(np.log(w @ np.array(each)).sum())
    total += float(stats.dirichlet.logpdf(w, np.full(k, prior["concentration"])))
    nu, scale = prior["degrees_of_freedom"], np.asarray(prior["covariance"])
    for m, c in zip(means, dense, strict=True):
        total += stats.multivariate_normal.logpdf(m, prior["mean"], c / prior["mean_precision"])
    if name in ("full", "tied"):
        different = dense[:1] if name == "tied" else dense
        return total + float(sum(stats.invwishart.logpdf(c, nu, scale) for c in different))
    return total + float(stats.invgamma.logpdf(scales, nu / 2, scale=scale / 2).sum())


def prior_of(name: str, d: int) -> dict[str, Any]:
    matrix = 0.5 * np.eye(d) + 0.1
    scale = {"full": matrix, "tied": matrix, "diagonal": np.diag(matrix) + np.arange(d)}
    return {
        "mean": list(np.linspace(-1, 1, d)),
        "mean_precision": 0.2,
        "degrees_of_freedom": d + 1.5,
        "covariance": scale.get(name, np.array(0.7)).tolist(),
    }


def unpacked(flat: Floats, k: int, d: int, name: str) -> dict[str, Floats]:
    """Any real vector as weights, means and covariances: for an optimiser."""
    weights, means = softmax(np.append(flat[: k - 1], 0.0)), flat[k - 1 :][: k * d].reshape(k, d)
    rest = flat[k - 1 + k * d :]
    if name in ("diagonal", "spherical"):
        shape = (k, d) if name == "diagonal" else (k,)
        scales = np.exp(rest.reshape(shape))
    else:
        lower = np.zeros((1 if name == "tied" else k, d, d))
        lower[:, *np.tril_indices(d)] = rest.reshape(len(lower), -1)
        scales = lower @ lower.swapaxes(1, 2)
        scales = scales[0] if name == "tied" else scales
    return {"weights": weights, "means": means, SCALE[name]: scales}


def packed(values: dict[str, Floats], name: str) -> Floats:
    w, scales = values["weights"], values[SCALE[name]]
    if name in ("diagonal", "spherical"):
        rest = np.log(scales)
    else:
        rest = np.linalg.cholesky(scales)[..., *np.tril_indices(scales.shape[-1])]
    return np.concatenate([np.log(w[:-1] / w[-1]), values["means"].ravel(), rest.ravel()])


@pytest.mark.parametrize("name", KIND)
def test_the_most_probable_value_is_the_optimisers(name: str) -> None:
    k, d = 2, 2
    x = blobs(40, d, 2, 3.0)[0] + 3.0
    prior = prior_of(name, d)
    setting = Setting(
        name, k, options={"prior": prior, "reg_covar": 0.0}, weights="dirichlet",
        weights_options={"concentration": 3.0}, fit={"tol": 1e-14, "max_iter": 1000},
    )  # fmt: skip
    found = fit_array(x, setting, Given(x[:k]))
    prior["concentration"] = 3.0

    def loss(flat: Floats) -> float:
        return -log_posterior(x, unpacked(flat, k, d, name), name, prior)

    here = packed(found.arrays, name)
    assert found.objective * len(x) == pytest.approx(-loss(here), rel=1e-12)
    best = scipy.optimize.minimize(loss, here + 0.02, tol=1e-12)
    assert -best.fun <= found.objective * len(x) + 1e-9
    for what, value in unpacked(best.x, k, d, name).items():
        assert relative(found.arrays[what], value) < 1e-4, what


@pytest.mark.parametrize("name", KIND)
def test_a_strong_prior_holds_components_without_rows(name: str) -> None:
    x = blobs(300, 2, 2)[0]
    prior = {**prior_of(name, 2), "mean_precision": 1e12, "degrees_of_freedom": 1e12}
    prior["covariance"] = (np.array(prior["covariance"]) * 1e12).tolist()
    setting = Setting(name, 2, options={"prior": prior, "reg_covar": 0.0}, fit={"max_iter": 3})
    found = fit_array(x, setting, Given(x[:2]))
    assert relative(found.means, np.tile(prior["mean"], (2, 1))) < 1e-5
    wanted = np.array(prior["covariance"]) / 1e12
    for scale in found.arrays[SCALE[name]] if name != "tied" else [found.arrays["covariance"]]:
        assert relative(scale, wanted) < 1e-5


def test_the_covariance_of_the_survey_is_numpys() -> None:
    x = touching() + 1e6
    weight = np.random.default_rng(0).integers(0, 4, len(x))
    found = fit_array(
        x, Setting("variational_full", 2, fit={"max_iter": 1}), weight=weight, block_bytes=1000
    )
    wanted = np.cov(touching().T, fweights=weight)
    assert relative(found.fit.model.family.numbers.scale, wanted) < 1e-12
