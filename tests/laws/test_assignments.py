"""Assignments: every family under every one, the walk to zero temperature, and draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emdist.engines.threads import LocalEngine
from emdist.fit.loop import iterate
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.inputs.plugins import plugins
from emdist.kernels.tiles.assign import drawn_labels
from emdist.settings.config import ASSIGNMENTS
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    ALL_FAMILIES,
    Setting,
    blobs,
    draw,
    fit_array,
    prepare,
    relative,
    run,
    same_bits,
    wide,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "tempered": {"start": 3.0, "factor": 0.6},
    "stochastic": {"iterations": 4},
}
ALL_ASSIGNMENTS = sorted(plugins(ASSIGNMENTS, "assignment"))


def setting_of(name: str, assignment: str, **fit: Any) -> Setting:
    options = OPTIONS.get(assignment, {})
    return Setting(name, 3, assignment=assignment, assignment_options=options, fit=fit)


def rows_of(name: str) -> Any:
    return draw(name, 600, 3, wide(name, 3), seed=3)[0]


@pytest.mark.covering
@pytest.mark.parametrize("assignment", ALL_ASSIGNMENTS)
@pytest.mark.parametrize("name", ALL_FAMILIES)
def test_every_family_fits_under_every_assignment(name: str, assignment: str) -> None:
    setting = setting_of(name, assignment, max_iter=40, tol=1e-6, init="random")
    found = fit_array(rows_of(name), setting)
    assert np.isfinite([r.objective for r in found.state.history]).all()
    assert found.params.weights.sum() == pytest.approx(1.0)
    assert found.assign(rows_of(name)).labels.max() < 3


@pytest.mark.parametrize("assignment", ["tempered", "stochastic"])
@pytest.mark.parametrize("name", ["full", "bernoulli"])
def test_blocks_threads_and_order_do_not_matter(name: str, assignment: str) -> None:
    """Draws belong to rows: other blocks give the same draws, and other threads the same bits."""
    setting = setting_of(name, assignment, max_iter=8, tol=0.0)
    x = rows_of(name)
    whole = fit_array(x, setting)
    parts = fit_array(x, setting, block_bytes=len(x) * x.itemsize)
    for key, value in whole.arrays.items():
        assert relative(parts.arrays[key], value) < 1e-9, key
    threads = fit_array(x, setting, block_bytes=len(x) * x.itemsize, engine=LocalEngine(2))
    same_bits(threads, parts)


@pytest.mark.parametrize("assignment", ["tempered", "stochastic"])
def test_resumed_in_the_middle_of_the_schedule(assignment: str) -> None:
    setting = setting_of("diagonal", assignment, max_iter=12, tol=0.0)
    fit = prepare(array_source(rows_of("diagonal")), setting)
    whole = run(fit)
    for state in iterate(fit, FitState(0)):
        if state.iteration == 3:
            break
    same_bits(run(fit, state), whole)


def test_a_fit_does_not_stop_while_the_temperature_falls() -> None:
    options = {"start": 8.0, "factor": 0.5}
    setting = Setting("full", 3, assignment="tempered", assignment_options=options)
    found = fit_array(blobs(500, 2, 3)[0], setting)
    assert found.status is Status.CONVERGED
    assert found.iterations > 4  # eps 8, 4, 2, then 1.


def test_tempered_ends_at_a_fixed_point_of_what_it_ends_in() -> None:
    x = blobs(800, 3, 4, 2.0)[0]
    for end, assignment in ((1.0, "soft"), (0.0, "hard")):
        options = {"start": 4.0, "factor": 0.7, "end": end}
        fit = {"tol": 1e-10, "max_iter": 500}
        found = fit_array(
            x, Setting("full", 4, assignment="tempered", assignment_options=options, fit=fit)
        )
        given = Given(
            found.means, found.params.weights, {"covariances": found.params.components.covariances}
        )
        again = fit_array(
            x, Setting("full", 4, assignment=assignment, fit={**fit, "max_iter": 2}), given
        )
        assert abs(again.objective - found.objective) < 1e-8
        assert relative(again.means, found.means) < 1e-3


@pytest.mark.long
def test_annealing_depends_less_on_the_start() -> None:
    """From the same poor starts, annealed fits end higher on average, and seldom lower."""
    gains = []
    fit = {"max_iter": 400, "tol": 1e-6}
    plain = Setting("isotropic", 6, options={"variance": 1.0}, fit=fit)
    annealed = replace(
        plain, assignment="tempered", assignment_options={"start": 15.0, "factor": 0.8}
    )
    for seed in range(8):
        x, _ = blobs(800, 2, 6, 4.0, seed=seed)
        rows = np.random.default_rng(seed).choice(len(x), 6, replace=False)
        given = Given(x[rows], np.full(6, 1 / 6))
        gains.append(fit_array(x, annealed, given).objective - fit_array(x, plain, given).objective)
    assert np.mean(gains) > 0.02
    assert np.count_nonzero(np.array(gains) < -1e-3) <= 1


def test_draws_follow_the_responsibilities() -> None:
    resp = np.tile(np.array([[0.2], [0.0], [0.5], [0.3]]), 100_000)
    labels = drawn_labels(resp, np.random.default_rng(0).random(100_000))
    share = np.bincount(labels, minlength=4) / 100_000
    np.testing.assert_allclose(share, [0.2, 0.0, 0.5, 0.3], atol=5 * 0.5 / 100_000**0.5)


def test_a_draw_never_takes_a_component_without_responsibility() -> None:
    short = np.array([[0.5, 0.0], [0.4999999, 1.0], [0.0, 0.0]])
    assert drawn_labels(short, np.array([1 - 2**-53, 2**-53])).tolist() == [1, 1]


def test_one_stochastic_iteration_is_the_m_step_of_its_draws() -> None:
    x = blobs(400, 2, 2, 1.0)[0]
    given = Given(x[:2], np.array([0.5, 0.5]), {"covariances": np.tile(np.eye(2), (2, 1, 1))})
    setting = Setting(
        "full", 2, assignment="stochastic", options={"reg_covar": 0.0}, fit={"max_iter": 1}
    )
    found = fit_array(x, setting, given)
    n = found.state.sums["n"]
    np.testing.assert_array_equal(n, np.rint(n))
    assert n.sum() == len(x)
    np.testing.assert_allclose(found.params.weights, n / len(x))


# ---- the limit of zero temperature


def test_as_eps_falls_em_becomes_kmeans() -> None:
    """Sigma = eps I, uniform weights: one-hot, K-means' centres, -2 eps Q and -2 eps F -> J."""
    x = blobs(900, 2, 3, 3.0, seed=2)[0]
    start = Given(x[[0, 300, 600]])
    hard = fit_array(x, Setting("kmeans", 3, fit={"tol": 0.0}), start)
    inertia = hard.objective
    errors = []
    for eps in (1.0, 1e-1, 1e-2, 1e-3, 1e-4):
        setting = Setting(
            "isotropic", 3, uniform=True, options={"variance": eps},
            fit={"tol": 1e-13, "max_iter": 2000},
        )  # fmt: skip
        soft = fit_array(x, setting, start)
        resp = soft.assign(x).resp
        last = soft.state.history[-1]
        d = x.shape[1]
        # The normalising constant of the density: what makes Q itself diverge.
        constant = -0.5 * d * np.log(2 * np.pi * eps) - np.log(3)
        errors.append(
            [
                1 - resp.max(axis=1).mean(),
                relative(soft.means, hard.means),
                abs(-2 * eps * len(x) * (last.expected - constant) / inertia - 1),
                abs(-2 * eps * len(x) * (last.elbo - constant) / inertia - 1),
                abs(-2 * eps * len(x) * last.elbo / inertia - 1),
            ]
        )
    errors = np.array(errors)
    # Each gets nearer with every step, and arrives.
    assert (np.diff(errors[:, :4], axis=0) <= 1e-12).all(), errors
    assert errors[-1, 0] < 1e-3
    assert errors[-1, 1] < 1e-5
    assert (errors[-1, 2:4] < 1e-5).all()
    # With its constant too: eps log eps vanishes. Q by itself grows without bound.
    assert errors[-1, 4] < 1e-2
