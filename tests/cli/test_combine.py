"""`emdist combine`: components of a run that overlap, combined into clusters."""

from __future__ import annotations

import json
from pathlib import Path

import zarr

from tests.support.command_line import Command
from tests.support.faithful import faithful


def test_the_tree_is_told_and_stored(emdist: Command, tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "x.zarr"), faithful())
    assert emdist("fit", "x.zarr", "--model", "full", "-k", 3, "--run", "runs/a").code == 0
    page = emdist("combine", "runs/a")
    assert page.code == 0, page.err
    assert "| clusters | combined |" in page.out
    found = emdist("combine", "runs/a", "--json").lines[-1]
    assert [one["n_clusters"] for one in found["steps"]] == [3, 2, 1]
    kept = json.loads((tmp_path / "runs/a/combined.json").read_text())
    assert kept["linkage"] == found["linkage"]


def test_centres_are_refused(emdist: Command, tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "x.zarr"), faithful())
    assert emdist("fit", "x.zarr", "-k", 3, "--run", "runs/a").code == 0
    answer = emdist("combine", "runs/a")
    assert (answer.code, "model of centres" in answer.err) == (2, True), answer.err
