"""The vector code as it is on processors with narrower vectors than this one's."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from emdist.kernels.lines import features
from emdist.kernels.lloyd import nearest_rows, nearest_sums
from emdist.kernels.posterior import posterior_sums

rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for d in (1, 3, 5, 9, 17, 33):
        x, k = rng.standard_normal((301, d)).astype(dtype), 7
        means = rng.standard_normal((k, d))
        eta, offset = 2 * means, -(means * means).sum(axis=1)
        score = x @ eta.T + offset
        wanted = score.argmax(axis=1)
        labels, own = nearest_rows(x, np.zeros(d), eta, offset, means)
        np.testing.assert_array_equal(labels, wanted)
        np.testing.assert_allclose(own, ((x - means[wanted]) ** 2).sum(axis=1), rtol=1e-9)
        n, t, inertia = nearest_sums(x, np.zeros(d), eta, offset, means, None)
        np.testing.assert_array_equal(n, np.bincount(wanted, minlength=k))
        for c in range(k):
            np.testing.assert_allclose(t[c], x[wanted == c].sum(axis=0, dtype=float), atol=1e-9)
        np.testing.assert_allclose(inertia, own.sum(), rtol=1e-9)
        for precision, tol in ((dtype, 1e-4 if dtype == "float32" else 1e-10),):
            packed = eta.astype(precision), offset.astype(precision)
            n, t, bound = posterior_sums(x, np.zeros(d), *packed, features(d), None)
            best = score.max(axis=1)
            resp = np.exp(score - best[:, None])
            total = resp.sum(axis=1)
            resp /= total[:, None]
            np.testing.assert_allclose(n, resp.sum(axis=0), rtol=tol, atol=tol)
            np.testing.assert_allclose(t, resp.T @ x, rtol=tol, atol=tol * len(x))
            np.testing.assert_allclose(bound, (best + np.log(total)).sum(), rtol=tol)
print("the same")
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="features of x86 are set")
@pytest.mark.parametrize(
    "features", ["+avx,+avx2,+fma", pytest.param("+sse2", marks=pytest.mark.slow)]
)
def test_the_vector_code_is_plain_numpy(features: str, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.stdout == "the same\n", done.stderr[-2000:]
