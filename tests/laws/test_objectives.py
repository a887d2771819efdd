"""The history's objectives: Q, entropy, the half-steps, and the warning when a bound falls."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from emdist.fit.events import Warned
from emdist.fit.fit import Fit
from emdist.fit.fitted import Collect
from emdist.fit.loop import seeded
from emdist.fit.start import Given
from emdist.fit.state import FitState, Record
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    ALL_FAMILIES,
    NOISY,
    SHIFTED,
    Setting,
    blobs,
    draw,
    exact_options,
    fit_array,
    given_of,
    lost_start,
    prepare,
    run,
    wide,
)


def history_of(name: str, assignment: str = "soft", offset: float = 0.0) -> tuple[Record, ...]:
    x = draw(name, 500, 3, wide(name, 2), seed=1)[0] + offset
    setting = Setting(
        name, 3, assignment=assignment, options=exact_options(name),
        fit={"init": "random", "tol": 1e-9, "max_iter": 25},
    )  # fmt: skip
    return fit_array(x, setting).state.history


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize("name", [*ALL_FAMILIES, NOISY, "isotropic+noise"])
def test_no_half_step_loses(name: str, assignment: str) -> None:
    history = history_of(name, assignment)
    for before, after in itertools.pairwise(history):
        if before.reseeded or before.dropped:
            continue
        slack = 1e-9 * max(1.0, abs(before.objective))
        assert before.objective <= before.updated + slack
        assert before.updated <= after.objective + slack


@pytest.mark.parametrize("name", [*SHIFTED, NOISY])
def test_no_half_step_loses_far_from_zero(name: str) -> None:
    history = history_of(name, offset=1e6)
    for before, after in itertools.pairwise(history):
        assert before.objective - 1e-8 <= before.updated <= after.objective + 1e-8


@pytest.mark.parametrize("name", [*ALL_FAMILIES, NOISY, "isotropic+noise"])
def test_the_entropy_is_that_of_the_responsibilities(name: str) -> None:
    """H follows from sums on the driver; here it is added up row by row."""
    x, components = draw(name, 400, 3, wide(name, 2), seed=2)
    setting = Setting(name, 3, options=exact_options(name), fit={"max_iter": 2, "tol": 0.0})
    source = array_source(x)
    fit = prepare(source, setting, given_of(components))
    states = run(fit).state.history
    resp = start_responsibilities(fit)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(resp > 0, resp * np.log(resp), 0.0).sum(axis=1).mean()
    assert states[0].entropy == pytest.approx(entropy, rel=1e-8, abs=1e-9)


def start_responsibilities(fit: Fit) -> Any:
    params = seeded(fit, FitState(0)).params
    task = Collect(fit.source, fit.model, params, fit.origin, fit.numerics(params), True)
    return fit.engine.map_reduce(task, range(len(fit.source))).resp


def test_q_of_a_full_mixture_by_brute_force() -> None:
    x = blobs(300, 2, 2, 2.0)[0]
    weights, means = np.array([0.3, 0.7]), x[:2]
    covariances = np.array([[[2.0, 0.3], [0.3, 1.0]], [[1.5, -0.2], [-0.2, 3.0]]])
    given = Given(means, weights, {"covariances": covariances})
    found = fit_array(x, Setting("full", 2, fit={"max_iter": 1}), given)
    joint = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(x)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )
    resp = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
    record = found.state.history[0]
    assert record.expected == pytest.approx((resp * joint).sum(axis=1).mean(), rel=1e-12)
    assert record.entropy == pytest.approx(-(resp * np.log(resp)).sum(axis=1).mean(), rel=1e-9)
    assert record.elbo == pytest.approx(record.objective, rel=1e-12)


def test_inertia_after_each_half_step_by_brute_force() -> None:
    x = blobs(300, 3, 4, 1.0)[0] + 1e3
    history = fit_array(x, Setting("kmeans", 4, fit={"tol": 0.0}), Given(x[:4])).state.history
    centres = x[:4].copy()
    for record in history:
        distance = ((x[:, None] - centres) ** 2).sum(axis=2)
        labels = distance.argmin(axis=1)
        assert record.objective == pytest.approx(distance.min(axis=1).sum(), rel=1e-10)
        centres = np.stack([x[labels == k].mean(axis=0) for k in range(4)])
        after = ((x - centres[labels]) ** 2).sum()
        assert record.updated == pytest.approx(after, rel=1e-10)


# ---- a bound that falls


def test_a_fall_is_told_once_with_its_reason() -> None:
    """A ridge as wide as the data: each M-step widens what it has just made narrow."""
    x = np.concatenate([blobs(200, 1, 2, 5.0)[0], np.zeros((200, 1))])
    setting = Setting("full", 3, options={"reg_covar": 0.3}, fit={"tol": 0.0, "max_iter": 60})
    told: list[Warned] = []
    fit = prepare(array_source(x), setting)

    def listen(event: object) -> None:
        if isinstance(event, Warned):
            told.append(event)

    found = run(replace(fit, listen=listen))
    falls = [r for r in found.state.history if r.change < -1e-6]
    assert falls, "this data no longer makes the bound fall: choose other data"
    assert len(told) == 1
    assert "reg_covar" in told[0].message
    assert f"iteration {falls[0].iteration}" in told[0].message


@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_an_exact_m_step_says_nothing(name: str) -> None:
    x = draw(name, 400, 3, wide(name, 2), seed=4)[0]
    setting = Setting(name, 3, options=exact_options(name), fit={"tol": 0.0, "max_iter": 15})
    told: list[object] = []
    fit = prepare(array_source(x), setting)
    run(replace(fit, listen=lambda e: told.append(e) if isinstance(e, Warned) else None))
    assert told == []


def test_a_reseed_is_the_reason_when_it_is() -> None:
    x = blobs(400, 2, 3)[0]
    setting = Setting("full", 3, fit={"on_collapse": "reseed", "max_iter": 8, "tol": 0.0})
    told: list[str] = []
    fit = prepare(array_source(x), setting, lost_start("full", x, 1e4))

    def listen(event: object) -> None:
        if isinstance(event, Warned):
            told.append(event.message)

    found = run(replace(fit, listen=listen))
    assert any(r.reseeded for r in found.state.history)
    for message in told:
        assert "collapsed" in message
