"""The file of docs/own-family.md is a family that the laws hold for."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from emdist.interfaces import Block, Numerics
from emdist.models.mixture import Mixture
from emdist.models.params import MixtureParams
from tests.support.paths import ROOT

#: Adds a folder to the package, as if the file stood in emdist/families, and runs the laws.
RUN = """
import sys, pytest, emdist.families
emdist.families.__path__.append(sys.argv[1])
chosen = ["-k", "geometric and not earlier_code", "-m", "covering or not slow", "tests/laws"]
sys.exit(pytest.main(["-p", "no:cacheprovider", *chosen]))
"""


def page() -> str:
    """The file on the page."""
    text = (ROOT / "docs" / "own-family.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


@pytest.mark.long
def test_the_family_on_the_page_obeys_the_laws(tmp_path: Path) -> None:
    (tmp_path / "geometric.py").write_text(page(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout) or ["0"]
    assert int(passed) > 60
    assert len(page().splitlines()) < 70


def test_the_family_on_the_page_is_scipys(tmp_path: Path) -> None:
    path = tmp_path / "geometric.py"
    path.write_text(page(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("geometric", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["geometric"] = module
    spec.loader.exec_module(module)
    means = np.array([[0.5, 3.0], [7.0, 0.1]])
    x = np.random.default_rng(0).integers(0, 9, (50, 2)).astype(np.float64)
    wanted = np.stack(
        [scipy.stats.geom.logpmf(x + 1, 1 / (1 + m)).sum(axis=1) for m in means], axis=1
    )
    params = MixtureParams(np.array([0.3, 0.7]), module.Means(means))
    found = Mixture(module.Geometric()).assign(
        Block(0, 0, x), params, np.zeros(2), Numerics("float64")
    )
    np.testing.assert_allclose(
        found.score, np.logaddexp.reduce(wanted + np.log([0.3, 0.7]), axis=1), rtol=1e-12
    )
