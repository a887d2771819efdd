"""The mixtures of bits, counts and categories: attributes, starts, answers, storage, completion."""

from __future__ import annotations

import inspect
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import bernoulli, binom, multinomial, poisson
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import emdist
from emdist import (
    BernoulliMixture,
    BinomialMixture,
    CategoricalMixture,
    GaussianMixture,
    MultinomialMixture,
    PoissonMixture,
)
from emdist.errors import ConfigError, DomainError, StartError
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config

Rows = NDArray[np.float64]

N, D = 300, 8
CLASSES: dict[Any, dict[str, Any]] = {
    BernoulliMixture: {},
    BinomialMixture: {"n_trials": 12},
    PoissonMixture: {},
    CategoricalMixture: {"n_categories": 4},
    MultinomialMixture: {},
}


def make(cls: Any, k: int = 2, **settings: Any) -> Any:
    return cls(k, **{**CLASSES[cls], "random_state": 0, **settings})


def rows(cls: Any, n: int = N, seed: int = 0) -> Rows:
    """Rows of two components far from each other."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 2, n)[:, None]
    p = np.where(which == 0, 0.2, 0.75) + 0.04 * np.cos(np.arange(D))
    q = np.where(np.arange(D) % 2 == which, 3.0, 0.5)
    return {
        BernoulliMixture: lambda: rng.random((n, D)) < p,
        BinomialMixture: lambda: rng.binomial(12, p),
        PoissonMixture: lambda: rng.poisson(10 * p),
        CategoricalMixture: lambda: rng.binomial(3, p),
        MultinomialMixture: lambda: rng.poisson(q),
    }[cls]().astype(np.float64)


def log_mass(est: Any, x: Rows) -> Rows:
    """(n, k) log-probabilities by scipy from the published attributes."""
    if isinstance(est, PoissonMixture):
        return np.stack([poisson.logpmf(x, r).sum(axis=1) for r in est.rates_], axis=1)
    p = est.probabilities_
    if isinstance(est, BernoulliMixture):
        return np.stack([bernoulli.logpmf(x, q).sum(axis=1) for q in p], axis=1)
    if isinstance(est, BinomialMixture):
        return np.stack([binom.logpmf(x, est.n_trials, q).sum(axis=1) for q in p], axis=1)
    if isinstance(est, MultinomialMixture):
        return np.stack([multinomial.logpmf(x, x.sum(axis=1), q) for q in p], axis=1)
    codes = x.astype(int)
    return np.log(p[:, np.arange(D), codes]).sum(axis=2).T


@pytest.mark.parametrize("cls", CLASSES)
def test_answers_are_scipys(cls: Any) -> None:
    x, new = rows(cls), rows(cls, 50, 1)
    est = make(cls, n_init=2).fit(x)
    joint = log_mass(est, new) + np.log(est.weights_)
    total = logsumexp(joint, axis=1)
    np.testing.assert_allclose(est.score_samples(new), total, rtol=1e-10)
    np.testing.assert_allclose(est.predict_proba(new), np.exp(joint - total[:, None]), atol=1e-10)
    np.testing.assert_array_equal(est.predict(new), joint.argmax(axis=1))
    assert est.score(new) == pytest.approx(total.mean(), rel=1e-10)
    each = {CategoricalMixture: 3 * D, MultinomialMixture: D - 1}.get(cls, D)
    free = 2 * each + 1
    assert est.bic(new) == pytest.approx(-2 * total.sum() + free * np.log(50), rel=1e-10)
    assert est.aic(new) == pytest.approx(-2 * total.sum() + 2 * free, rel=1e-10)
    assert (np.bincount(est.predict(x)) > N / 4).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_attributes(cls: Any) -> None:
    est = make(cls).fit(rows(cls))
    values = est.rates_ if cls is PoissonMixture else est.probabilities_
    assert values.shape == ((2, D, 4) if cls is CategoricalMixture else (2, D))
    assert est.weights_.sum() == pytest.approx(1.0)
    assert est.converged_ is True
    assert est.n_features_in_ == D
    assert len(est.lower_bounds_) == est.n_iter_ == len(est.history_)
    assert est.lower_bounds_[-1] == est.lower_bound_
    assert (np.diff(est.lower_bounds_) >= -1e-12).all()
    if cls in (CategoricalMixture, MultinomialMixture):
        np.testing.assert_allclose(values.sum(axis=-1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("cls", CLASSES)
def test_names_and_defaults_are_those_of_gaussian_mixture(cls: Any) -> None:
    own = inspect.signature(cls).parameters
    model = inspect.signature(GaussianMixture).parameters
    different = {"init_params"} if cls is CategoricalMixture else set()
    for name in (set(own) & set(model)) - different:
        assert own[name].default == model[name].default, name
        assert own[name].kind == model[name].kind
    public = {n for n in dir(GaussianMixture(1).fit([[0.0], [1.0]])) if not n.startswith("_")}
    own_to_it = ("means", "cov", "prec", "reg", "verbose_", "noise")
    gaussian = {n for n in public if n.startswith(own_to_it)}
    gaussian |= {n for n in public if n.endswith("_prior")}  # Theirs is `smoothing`.
    assert public - gaussian <= set(dir(make(cls).fit(rows(cls))))


@pytest.mark.parametrize("cls", CLASSES)
def test_clone_and_pickle(cls: Any) -> None:
    x = rows(cls)
    est = make(cls, tol=1e-5, smoothing=0.5).fit(x)
    twin = clone(est)
    assert twin.get_params() == est.get_params()
    assert not hasattr(twin, "weights_")
    copy = pickle.loads(pickle.dumps(est))
    assert np.array_equal(copy.predict_proba(x), est.predict_proba(x))
    with pytest.raises(NotFittedError):
        twin.predict(x)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_saved_mixture_comes_back(cls: Any, tmp_path: Path) -> None:
    x = rows(cls)
    est = make(cls, smoothing=0.25, uniform_weights=True).fit(x)
    est.save(tmp_path / "m")
    back = emdist.load(tmp_path / "m")
    assert type(back) is cls
    assert back.get_params() == est.get_params()
    assert np.array_equal(back.predict_proba(x), est.predict_proba(x))
    assert np.array_equal(back.weights_, [0.5, 0.5])
    assert back.lower_bound_ == est.lower_bound_
    assert np.array_equal(back.sample(9)[0], est.sample(9)[0])
    assert np.array_equal(back.fit(x).predict(x), est.predict(x))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_finished_run_is_an_estimator(cls: Any, tmp_path: Path) -> None:
    x = rows(cls).astype("u1")
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(64, D), dtype="u1")[:] = x
    wanted = make(cls, smoothing=1.0).fit(tmp_path / "x.zarr")
    options = dict(wanted._section.options)
    init = "random" if cls is CategoricalMixture else None
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x.zarr")},
            "model": {"name": cls.family, "n_components": 2, "options": options},
            "fit": {"init": init},
            "run": {"folder": str(tmp_path), "key": "run"},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, Job)
        job.complete()
    back = emdist.load(tmp_path / "run")
    assert type(back) is cls
    assert back.smoothing == 1.0
    assert np.array_equal(back.predict_proba(x), wanted.predict_proba(x))


@pytest.mark.parametrize("cls", CLASSES)
def test_draws_lie_in_the_domain_and_have_the_means(cls: Any) -> None:
    x = rows(cls)
    est = make(cls).fit(x)
    drawn, labels = est.sample(20_000)
    est.score_samples(drawn)
    assert drawn.shape == (20_000, D)
    assert np.bincount(labels) / 20_000 == pytest.approx(est.weights_, abs=0.02)
    np.testing.assert_allclose(drawn.mean(axis=0), x.mean(axis=0), rtol=0.06, atol=0.02)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_given_start_and_a_warm_start(cls: Any) -> None:
    x = rows(cls)
    name = "rates_init" if cls is PoissonMixture else "probabilities_init"
    first = make(cls, tol=1e-9, max_iter=500).fit(x)
    values = first.rates_ if cls is PoissonMixture else first.probabilities_
    start = {name: values, "weights_init": first.weights_}
    again = make(cls, tol=1e-7, **start).fit(x)
    assert again.n_iter_ == 2  # An optimal start changes nothing.
    assert again.lower_bound_ == pytest.approx(first.lower_bound_, abs=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warm = make(cls, max_iter=1, tol=0.0, warm_start=True).fit(x)
        bound = warm.lower_bound_
        assert warm.fit(x).lower_bound_ > bound - 1e-12


@pytest.mark.parametrize("cls", CLASSES)
def test_starts_that_are_none(cls: Any) -> None:
    x = rows(cls)
    name = "rates_init" if cls is PoissonMixture else "probabilities_init"
    shape = (2, D, 4) if cls is CategoricalMixture else (2, D)
    even = np.full(shape, 1 / shape[-1])
    bad: list[Any] = [even[:, :-1], np.full(shape, np.nan), np.full(shape, -0.1), "text"]
    if cls is not PoissonMixture:
        bad.append(np.full(shape, 1.2))
    if cls in (CategoricalMixture, MultinomialMixture):
        bad.append(even * 0.9)
    for value in bad:
        with pytest.raises(StartError, match=name):
            make(cls, **{name: value}).fit(x)
    with pytest.raises(StartError, match="weights"):
        make(cls, weights_init=[0.5, 0.6]).fit(x)


@pytest.mark.parametrize("cls", CLASSES)
def test_values_outside_the_domain(cls: Any) -> None:
    x = rows(cls)
    est = make(cls).fit(x)
    for bad in (0.5, -1.0):
        wrong = x.copy()
        wrong[3, 5] = bad
        for call in (make(cls).fit, est.predict, est.score_samples, est.score):
            with pytest.raises(DomainError, match="feature 5 ranges from"):
                call(wrong)


def test_options_that_are_wrong() -> None:
    x = rows(BernoulliMixture)
    for est in (
        BernoulliMixture(smoothing=-1),
        BinomialMixture(n_trials=0),
        CategoricalMixture(n_categories="a"),
        PoissonMixture(smoothing=float("nan")),
    ):
        with pytest.raises(ConfigError):
            est.fit(x)


def test_trials_feature_by_feature(tmp_path: Path) -> None:
    x = rows(BinomialMixture)
    p = np.full((2, D), [[0.3], [0.6]])
    one, each = (
        BinomialMixture(2, n_trials=m, probabilities_init=p, weights_init=[0.5, 0.5]).fit(x)
        for m in (12, [12] * D)
    )
    np.testing.assert_allclose(each.probabilities_, one.probabilities_, rtol=1e-12)
    each.save(tmp_path / "m")
    assert np.array_equal(emdist.load(tmp_path / "m").predict_proba(x), each.predict_proba(x))
    with pytest.raises(ConfigError):
        BinomialMixture(2, n_trials=[12, 0]).fit(x[:, :2])


def test_bool_and_zarr_are_data_too(tmp_path: Path) -> None:
    x = rows(BernoulliMixture).astype(bool)
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(50, D), dtype=bool)[:] = x
    here, there = (make(BernoulliMixture).fit(v) for v in (x, str(tmp_path / "x.zarr")))
    np.testing.assert_allclose(here.probabilities_, there.probabilities_, rtol=1e-5)
    assert here.predict(x).dtype == np.int32


@pytest.mark.long
def test_on_a_cluster_of_processes_the_bits_are_the_same(tmp_path: Path) -> None:
    with Client(processes=True, n_workers=1, dashboard_address="127.0.0.1:0") as client:
        for cls in CLASSES:
            x = rows(cls).astype("u1")
            path = tmp_path / f"{cls.family}.zarr"
            zarr.create_array(path, shape=x.shape, chunks=(50, D), dtype="u1")[:] = x
            here, there = (make(cls, engine=e, max_iter=9, tol=0.0) for e in (None, client))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                here.fit(path)
                there.fit(path)
            assert here.lower_bounds_ == there.lower_bounds_
            assert np.array_equal(here.predict_proba(path), there.predict_proba(path))
            if cls is BernoulliMixture:
                assert np.array_equal(here.complete(path), there.complete(path))
                with pytest.raises(DomainError, match="feature 0 ranges from 2"):
                    there.predict(np.full((3, D), 2.0))


# ---- completion


def digits() -> Rows:
    return (load_digits().data > 7).astype(np.float64)


def test_the_bottom_half_of_a_digit_from_its_top_half() -> None:
    x = digits()
    train, test = x[:1200], x[1200:]
    est = BernoulliMixture(40, random_state=0, smoothing=0.5, n_init=2).fit(train)
    cut = test.copy()
    cut[:, 32:] = np.nan
    filled = est.complete(cut)
    np.testing.assert_array_equal(filled[:, :32], test[:, :32])
    hidden = test[:, 32:]
    marginal = np.broadcast_to(train[:, 32:].mean(axis=0), hidden.shape)

    def log_loss(p: Rows) -> float:
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return float(-(hidden * np.log(p) + (1 - hidden) * np.log(1 - p)).mean())

    # Measured: squared error 0.106 for 0.138, wrong bits 15 % for 22 %, log-loss 0.33 for 0.41.
    assert ((filled[:, 32:] - hidden) ** 2).mean() < 0.8 * ((marginal - hidden) ** 2).mean()
    assert ((filled[:, 32:] > 0.5) != hidden).mean() < 0.8 * ((marginal > 0.5) != hidden).mean()
    assert log_loss(filled[:, 32:]) < 0.85 * log_loss(marginal)


def test_completion_is_the_conditional_probability_of_all_complete_rows() -> None:
    est = make(BernoulliMixture).fit(rows(BernoulliMixture))
    row = np.array([1, np.nan, 0, 1, np.nan, np.nan, 0, 1.0])
    holes = np.flatnonzero(np.isnan(row))
    bits = np.array(np.meshgrid(*[[0.0, 1.0]] * len(holes))).reshape(len(holes), -1).T
    every = np.tile(row, (len(bits), 1))
    every[:, holes] = bits
    p = np.exp(est.score_samples(every))
    filled = est.complete(row[None])[0]
    np.testing.assert_allclose(filled[holes], p @ bits / p.sum(), rtol=1e-10)


def test_completion_block_by_block(tmp_path: Path) -> None:
    x = rows(BernoulliMixture)
    est = make(BernoulliMixture).fit(x)
    holes = np.where(np.random.default_rng(0).random(x.shape) < 0.3, np.nan, x)
    holes[0] = np.nan
    wanted = est.complete(holes)
    np.testing.assert_allclose(wanted[0], est.weights_ @ est.probabilities_, rtol=1e-12)
    np.testing.assert_array_equal(est.complete(x), x)
    np.testing.assert_array_equal(est.complete(x.astype("u1")), x)
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(70, D), dtype="f8")[:] = holes
    for source in (str(tmp_path / "x.zarr"), holes):
        est.set_params(block_size="4 KiB", non_finite="drop")
        np.testing.assert_allclose(est.complete(source), wanted, rtol=1e-12)
    with pytest.raises(DomainError, match="bits"):
        est.complete(np.full((2, D), 0.5))
