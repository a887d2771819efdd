"""`emdist uncertainty`: how sure the model of a run is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from emdist.jobs.uncertainty import stored_uncertainty
from emdist.store.places.location import Location
from tests.support.command_line import Command
from tests.support.faithful import faithful


def test_what_is_found_is_told_and_stored(emdist: Command, tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "x.zarr"), faithful())
    fit = ("fit", "x.zarr", "--model", "full", "-k", 2, "--run", "runs/a", "--tol", "1e-6")
    assert emdist(*fit).code == 0
    run = Location(str(tmp_path / "runs/a"))
    assert stored_uncertainty(run) is None
    page = emdist("uncertainty", "runs/a")
    assert page.code == 0, page.err
    assert "standard error" in page.out
    more = ("--stability", 3, "--over", "halves", "--component-test", 1, "--bootstrap", 3)
    answer = emdist("uncertainty", "runs/a", *more, "--json")
    assert answer.code == 0, answer.err
    found = answer.lines[-1]
    assert found["standard_errors"]["replicates"] == 3
    assert 0 < found["stability_halves"]["adjusted_rand"] <= 1
    assert found["component_test"]["p_value"] in (0.5, 1.0)
    kept = stored_uncertainty(run)
    assert kept is not None
    assert kept["standard_errors"] == found["standard_errors"]
    errors = [one["standard_error"] for one in found["standard_errors"]["parameters"]]
    assert np.isfinite(errors).all()
    # The cost is told before.
    assert "3 fits of 272 rows" in emdist("uncertainty", "runs/a", "--bootstrap", 3).err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("runs/none",), 3, "no folder"),
        (("runs/none", "--level", "2"), 2, "between 0 and 1"),
        (("runs/none", "--over", "rows"), 2, "starts, bootstrap, halves"),
    ],
)
def test_what_cannot_be_answered_is_said(
    emdist: Command, arguments: tuple[str, ...], code: int, told: str
) -> None:
    answer = emdist("uncertainty", *arguments)
    assert (answer.code, told in answer.err) == (code, True), answer.err
