"""`emdist runs`: the commands, what they print and how they end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from emdist.store.runs.run_folder import RunFolder
from tests.support.command_line import Command

FIT = ("fit", "x.zarr", "-k", "3", "-q", "--run")


@pytest.fixture
def made(emdist: Command, data: Path) -> Path:
    """Two finished runs in `runs`, an hour old."""
    assert data.exists()
    assert emdist(*FIT, "runs/a").code == 0
    assert emdist(*FIT, "runs/b", "--seed", "1").code == 0
    then = time.time() - 3600
    for path in Path("runs").rglob("*"):
        os.utime(path, (then, then))
    return Path("runs")


def test_runs_are_listed_as_a_table_and_as_json(emdist: Command, made: Path) -> None:
    found = emdist("runs", "ls")
    assert found.code == 0
    rows = [line for line in found.out.splitlines() if "| finished |" in line]
    assert len(rows) == 2
    assert all("| kmeans | 3 | x.zarr |" in row for row in rows)
    told = json.loads(emdist("runs", "ls", "--json", "--sort", "run").out)
    assert [one["key"] for one in told["runs"]] == ["a", "b"]
    assert told["other_folders"] == 0
    assert emdist("runs", "ls", "--sort", "size", "--state", "running").out.count("none") == 1
    assert "1 run" in emdist("runs", "ls", "runs/a").out


def test_a_wrong_option_is_told(emdist: Command, made: Path) -> None:
    for arguments, words in (
        (("ls", "nowhere"), "There is no folder"),
        (("ls", "--sort", "colour"), "started, ended, run"),
        (("ls", "--state", "dead"), "choose from running"),
        (("ls", "--older-than", "soon"), "expected a number with a unit"),
        (("ls", "--storage-option", "region"), "NAME=VALUE"),
        (("show", "runs/c"), "There is no folder"),
        (("compare", "runs/a"), "at least two runs"),
        (("rm",), "which runs to delete"),
        (("rm", "runs/a", "--keep-labels"), "needs --keep-model"),
        (("rm", "--expired", "--keep-model"), "run.retention_keep_model"),
        (("rm", "runs/a"), "Pass --yes"),
        (("rm", "runs", "-y"), "There is no run"),
        (("rm", "x.zarr", "-y"), "There is no run"),
    ):
        found = emdist("runs", *arguments)
        assert found.code in (2, 3, 4), (arguments, found)
        assert words in found.err, (arguments, found.err)
    assert {path.name for path in made.iterdir()} == {"a", "b"}


def test_a_run_is_shown_and_compared(emdist: Command, made: Path) -> None:
    shown = emdist("runs", "show", "runs/a").out
    assert "| state | finished |" in shown
    assert "labels.zarr: " in shown
    assert "result.objective" in shown
    assert json.loads(emdist("runs", "show", "runs/a", "--json").out)["inspected"]["kind"] == "run"
    compared = emdist("runs", "compare", "runs/a", "runs/b").out
    assert "| fit.seed | 0 | 1 |" in compared
    assert "| compared | b with a |" in compared
    assert "| rows of matching components |" in compared
    short = emdist("runs", "compare", "runs/a", "runs/b", "--no-labels").out
    assert "| component of b | is that of a |" in short
    assert "rows of matching components" not in short
    told = json.loads(emdist("runs", "compare", "runs/a", "runs/b", "--json").out)
    assert told["differences"] == {"fit.seed": ["0", "1"]}


def test_runs_are_deleted_after_a_dry_run(emdist: Command, made: Path) -> None:
    dry = emdist("runs", "rm", "--older-than", "1s", "--dry-run")
    assert dry.code == 0
    assert "to delete | 2 runs" in dry.out
    assert len([*made.iterdir()]) == 2
    told = json.loads(emdist("runs", "rm", "runs/a", "--keep-model", "-y", "--json").out)
    assert told["deleted"]
    assert "ckpt" in told["runs"][0]["deletes"]
    assert emdist("label", "runs/a", "x.zarr", "again.zarr", "-q").code == 0
    assert emdist("runs", "rm", "runs/a", "runs/b", "--yes").code == 0
    assert not [*made.iterdir()]
    assert emdist("runs", "rm", "--older-than", "1s", "--yes").code == 0


def test_all_are_checked_before_the_first_is_deleted(emdist: Command, made: Path) -> None:
    refused = emdist("runs", "rm", "runs/a", "runs/c", "--yes")
    assert refused.code == 3
    assert (made / "a/run.json").exists()


def test_a_run_at_work_is_refused_by_name_and_passed_over_by_conditions(
    emdist: Command, made: Path
) -> None:
    from emdist.store.places.location import Location

    RunFolder(Location("runs/a")).claim()  # This process works on it from now on.
    assert emdist("runs", "ls", "--state", "running").out.count("| running |") == 1
    refused = emdist("runs", "rm", "runs/a", "--yes")
    assert refused.code == 4
    assert "works on it" in refused.err
    passed = emdist("runs", "rm", "--model", "kmeans", "--yes")
    assert passed.code == 0
    assert "works on it" in passed.err
    assert {path.name for path in made.iterdir()} == {"a"}
    assert emdist("runs", "rm", "runs/a", "--yes", "--force").code == 0
