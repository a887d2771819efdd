"""Kernels of hidden Markov chains: any number of states, slow mixing, and memory."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from emdist import GaussianHMM
from emdist.engines.threads import LocalEngine
from emdist.interfaces import Floats


def rows(n: int, k: int, d: int = 2) -> tuple[Floats, dict[str, Any]]:
    """Rows of a chain of k states, and parameters near those that made them."""
    rng = np.random.default_rng(k)
    means = rng.normal(0, 2, (k, d))
    moves = rng.integers(1, max(2, k), n) * (rng.random(n) > 0.9)
    transitions = np.full((k, k), 0.1 / max(1, k - 1))
    np.fill_diagonal(transitions, 0.9 if k > 1 else 1.0)
    start = {
        "startprob": np.full(k, 1 / k),
        "transmat": transitions,
        "means": means,
        "covars": np.tile(np.eye(d), (k, 1, 1)),
    }
    return means[np.cumsum(moves) % k] + rng.normal(size=(n, d)), start


def fitted(x: Any, start: dict[str, Any], **more: Any) -> GaussianHMM:
    given: dict[str, Any] = {f"{name}_init": value for name, value in start.items()}
    k = len(start["means"])
    hmm = GaussianHMM(k, covariance_type="full", reg_covar=0, max_iter=3, tol=0, **given, **more)
    return hmm.fit(x)


def close(a: GaussianHMM, b: Any, rtol: float) -> None:
    for name in ("startprob_", "transmat_", "means_", "covars_"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=1e-11)


@pytest.mark.parametrize("k", [1, 3, 8, 9])
def test_states_that_do_not_fill_vectors(k: int) -> None:
    theirs = pytest.importorskip("hmmlearn.hmm")
    x, start = rows(1500, k)
    their = theirs.GaussianHMM(
        k, "full", min_covar=0, covars_prior=0, covars_weight=0, n_iter=3, tol=-np.inf,
        init_params="",
    )  # fmt: skip
    for name, value in start.items():
        setattr(their, f"{name}_", value)
    their.fit(x)
    whole, cut = fitted(x, start), fitted(x, start, block_size="3200 B")
    close(whole, their, 1e-8)
    close(cut, whole, 1e-10)
    threads = fitted(x, start, block_size="3200 B", engine=LocalEngine(3))
    for name in ("startprob_", "transmat_", "means_", "covars_", "lower_bound_"):
        np.testing.assert_array_equal(getattr(threads, name), getattr(cut, name))
    assert cut.score(x) == pytest.approx(their.score(x), rel=1e-10)
    np.testing.assert_allclose(cut.predict_proba(x), their.predict_proba(x), atol=1e-8)
    log_prob, path = cut.decode(x)
    their_log_prob, their_path = their.decode(x)
    assert log_prob == pytest.approx(their_log_prob, rel=1e-10)
    np.testing.assert_array_equal(path, their_path)


def test_messages_of_a_chain_that_never_forgets() -> None:
    # States emit almost alike and hardly ever change, so that no block forgets its first state.
    x, start = rows(1500, 3)
    x = x * 1e-3
    start["transmat"] = np.full((3, 3), 1e-9) + np.eye(3) * (1 - 3e-9)
    start["means"] = np.array([[0.0, 0.0], [0.001, 0.0], [0.0, 0.001]])
    close(fitted(x, start, block_size="3200 B"), fitted(x, start), 1e-9)


def test_memory_does_not_grow_with_the_sequence() -> None:
    def peak(n: int) -> int:
        x, start = rows(n, 8, 1)
        options: dict[str, Any] = {"block_size": "128 KiB", "engine": LocalEngine(1)}
        fitted(x[:5000], start, **options)
        tracemalloc.start()
        fitted(x, start, **options)
        found: int = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    short, long = 20_000, 160_000
    # Each further row takes less than one number for each of its 8 states would.
    assert peak(long) - peak(short) < 0.5 * 8 * 8 * (long - short)
