"""The vector code as it is on processors with narrower vectors than this one's."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from emdist.kernels.vector.lanes import panel_rows
from tests.support.paths import ROOT

#: The laws of the vector code, told again where their first lines hold.
PROGRAM = """
from emdist.kernels.vector import lanes
assert lanes.panel_rows(4) == 16, lanes.panel_rows(4)
from tests.oracle import test_em_kernels as posterior, test_kmeans_kernel as nearest
for name in ("norm", "products") if THOROUGH else ("norm",):
    posterior.test_sums(name, 131, 17, 7, "float32", 2e-5, True)
nearest.test_sums_and_labels(1100, 12, 5, "float32", True)
if not THOROUGH:
    print("the same")
    raise SystemExit
posterior.test_mixtures_in_one_call_have_the_bits_of_a_call_each(600, [1, 7, 20], "float32", True)
for dtype, tol in (("float32", 2e-5), ("float64", 1e-12)):
    for d in (1, 3, 4, 5, 9, 17, 33):
        nearest.test_sums_and_labels(301, d, 7, dtype, False)
        posterior.test_sums("features", 301, d, 7, dtype, tol, False)
print("the same")
"""


@pytest.mark.long
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="features of x86 are set")
@pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "features", ["+avx,+avx2,+fma", pytest.param("+sse2", marks=pytest.mark.slow)]
)
def test_the_vector_code_is_plain_numpy(features: str, thorough: bool, tmp_path: Path) -> None:
    """The machine has one width; the code for the others must be right as well."""
    if panel_rows(4) == 16 and "avx2" in features:
        pytest.skip("the other files have tested the narrower vectors")
    environ = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"THOROUGH = {thorough}\n{PROGRAM}"],
        env=environ, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.stdout == "the same\n", done.stderr[-2000:]
