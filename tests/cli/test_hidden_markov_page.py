"""The code of docs/hidden-markov.md comes to the numbers that its comments tell."""

import numpy as np
import pytest

from benchmarks.stories import code_of


def test_the_example() -> None:
    known: dict[str, object] = {}
    exec(compile(code_of("hidden-markov"), "hidden-markov.md", "exec"), known)
    hmm, x = known["hmm"], known["earthquakes"]
    np.testing.assert_allclose(hmm.lambdas_.ravel(), [13.13, 19.71, 29.71], atol=6e-3)  # type: ignore[attr-defined]
    assert hmm.transmat_[0, 0] == pytest.approx(0.94, abs=5e-3)  # type: ignore[attr-defined]
    ahead = hmm.predict_next_proba(x)[-1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(ahead, [0.93, 0.04, 0.03], atol=5e-3)
    assert hmm.score(x) == pytest.approx(-328.5275, abs=6e-5)  # type: ignore[attr-defined]
    assert hmm.bic(x) == pytest.approx(708.5, abs=0.05)  # type: ignore[attr-defined]
