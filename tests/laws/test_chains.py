"""Laws of hidden Markov models: blocks that cut sequences anywhere, engines, order of work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from distributed import Client

from emdist import GaussianHMM, HiddenMarkovModel
from emdist.engines.clusters.local import Local
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.loop import Loop
from emdist.engines.threads import LocalEngine
from tests.laws.test_reproducible import AnyOrder

ROWS = 300
EMISSIONS: dict[str, Any] = {"full": {}, "poisson": {}, "categorical": {"categories": 8}}
ASSIGNMENTS: list[Any] = ["soft", "hard"]


def data(emission: str) -> Any:
    """Counts of a chain of two states for discrete emissions, or their sums with noise."""
    rng = np.random.default_rng(3)
    states = np.cumsum(rng.random(ROWS) < 0.05) % 2
    counts = np.minimum(rng.poisson(1.0 + 2.5 * states[:, None], (ROWS, 2)), 7).astype(float)
    return counts if emission in ("poisson", "categorical") else counts + rng.normal(size=(ROWS, 2))


def fitted(emission: str, assignment: Any, engine: Any, rows: int, lengths: Any) -> Any:
    """A fit in blocks of so many rows."""
    return HiddenMarkovModel(
        2, emission=emission, emission_options=EMISSIONS[emission], assignment=assignment,
        engine=engine, block_size=f"{rows * 16} B", random_state=0, max_iter=5, tol=0,
    ).fit(data(emission), lengths)  # fmt: skip


def numbers(est: Any) -> list[Any]:
    """All that a fit comes to."""
    arrays = [est.startprob_, est.transmat_, *est.emission_.values()]
    return [*(one.tobytes() for one in arrays), est.lower_bounds_]


LENGTHS = [1, 125, 23, 1, 150]


@pytest.mark.filterwarnings("ignore:.*max_iter")
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize("emission", EMISSIONS)
def test_any_order_and_number_of_threads(emission: str, assignment: str) -> None:
    wanted = numbers(fitted(emission, assignment, Loop(), 37, LENGTHS))
    for engine in (LocalEngine(1), LocalEngine(4), AnyOrder(7)):
        assert numbers(fitted(emission, assignment, engine, 37, LENGTHS)) == wanted


@pytest.fixture(scope="module")
def client() -> Any:
    with Local(n_workers=2, processes=False).open() as client:
        client.wait_for_workers(2)
        yield client


@pytest.mark.filterwarnings("ignore:.*max_iter")
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_workers_come_to_the_same_bits(client: Client, assignment: str) -> None:
    wanted = numbers(fitted("full", assignment, LocalEngine(2), 37, None))
    assert numbers(fitted("full", assignment, DaskEngine(client), 37, None)) == wanted


@pytest.mark.filterwarnings("ignore:.*max_iter")
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["one", "several"])
@pytest.mark.parametrize("emission", EMISSIONS)
def test_blocks_may_cut_sequences_anywhere(emission: str, lengths: Any, assignment: str) -> None:
    wanted = fitted(emission, assignment, None, 2 * ROWS, lengths)
    x = data(emission)
    for rows in (7, 100, 299):
        found = fitted(emission, assignment, None, rows, lengths)
        np.testing.assert_allclose(found.transmat_, wanted.transmat_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.lower_bounds_, wanted.lower_bounds_, rtol=1e-10)
        np.testing.assert_array_equal(found.predict(x, lengths), wanted.predict(x, lengths))
        for name in ("predict_proba", "filter_proba", "score_samples"):
            a, b = (getattr(one, name)(x, lengths) for one in (found, wanted))
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_long_sequence_neither_overflows_nor_underflows() -> None:
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random(300_000) < 0.001) % 2
    x = (states * 3.0 + rng.normal(size=len(states)))[:, None]
    est = GaussianHMM(2, random_state=0, max_iter=20).fit(x)
    assert np.isfinite(est.score(x))
    assert (est.predict(x) == states).mean() > 0.99
    assert est.transmat_[0, 1] == pytest.approx(0.001, rel=0.1)
