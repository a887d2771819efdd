"""The file of metrics and the log as JSON: of runs with the command line and in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zarr

from emdist.errors import ConfigError
from emdist.fit.events import Event, Warned
from emdist.report.metrics import Metrics, measured
from emdist.runtime.tallies import tally
from emdist.settings.config import make_config
from tests.support.command_line import process


@pytest.fixture
def data(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(600, 3))
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(100, 3), dtype="f8")[:] = x
    return tmp_path / "x.zarr"


def metrics(text: str) -> dict[str, float]:
    """The values of a file, each with its help and type before it."""
    found = {}
    for block in text.split("# HELP ")[1:]:
        first, second, third = block.splitlines()
        name = first.split()[0]
        assert re.fullmatch(rf"# TYPE {name} (counter|gauge)", second)
        match = re.fullmatch(rf'{name}\{{run="[^"]*"\}} (\S+)', third)
        assert match, third
        found[name] = float(match[1])
    return found


def test_a_fit_keeps_its_metrics(data: Path) -> None:
    file = data.parent / "emdist.prom"
    done = process(
        "fit", data, "-k", 3, "--set", f"run.metrics_file={file}", "--set", "fit.max_iter=4",
        "--set", "fit.tol=0", "--set", "run.checkpoint_iterations=2", "-q", cwd=data.parent,
    )  # fmt: skip
    _, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    found = metrics(file.read_text())
    assert found["emdist_iterations_total"] == 4
    assert found["emdist_rows_total"] == 4 * 600
    assert found["emdist_bytes_total"] == 4 * 600 * 3 * 8
    assert found["emdist_checkpoints_total"] >= 2
    assert (found["emdist_active"], found["emdist_failed"]) == (0, 0)
    assert found["emdist_retries_total"] == found["emdist_stalls_total"] == 0
    assert found["emdist_update_time_seconds"] >= found["emdist_start_time_seconds"]
    assert not list(data.parent.glob(".emdist.prom*"))


def test_a_failure_is_told(tmp_path: Path) -> None:
    file = tmp_path / "m.prom"

    def fail() -> None:
        with measured(str(file), "r", lambda event: None):
            assert metrics(file.read_text())["emdist_active"] == 1
            tally("retries")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    found = metrics(file.read_text())
    assert (found["emdist_active"], found["emdist_failed"]) == (0, 1)
    assert found["emdist_retries_total"] == 1


def test_a_label_is_escaped_and_a_folder_that_is_missing_told_once(tmp_path: Path) -> None:
    told: list[Event] = []
    kept = Metrics(str(tmp_path / "no/m.prom"), 'a"b\\c', told.append)
    assert '{run="a\\"b\\\\c"}' in kept.text()
    kept.write()
    kept.write()
    assert [type(event) for event in told] == [Warned]


@pytest.mark.parametrize("path", ["m.txt", "s3://bucket/m.prom"])
def test_other_files_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics_file.*ends in \.prom"):
        make_config({"data": {"path": "x.zarr"}, "run": {"metrics_file": path}})


def test_the_log_is_json_on_request(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMDIST_LOG", "json")
    done = process("fit", data, "-k", 3, cwd=data.parent)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    assert "run folder" in out
    lines = [json.loads(line) for line in err.splitlines()]
    assert {line["level"] for line in lines} <= {"debug", "info", "warning"}
    assert {"began", "planned", "iterated"} <= {line["event"] for line in lines}
    assert all(line["time"].endswith("+00:00") for line in lines)
    iterated = next(line for line in lines if line["event"] == "iterated")
    assert iterated["rows"] == 600


def test_errors_are_lines_of_that_log(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMDIST_LOG", "json")
    done = process("fit", data.parent / "gone.zarr", "-k", 3, cwd=data.parent)
    _, err = done.communicate(timeout=120)
    assert done.returncode == 3
    last = json.loads(err.splitlines()[-1])
    assert (last["level"], last["event"], last["exit_code"]) == ("error", "error", 3)
    monkeypatch.setenv("EMDIST_LOG", "xml")
    done = process("fit", data, "-k", 3, cwd=data.parent)
    _, err = done.communicate(timeout=120)
    assert done.returncode == 2
    assert "EMDIST_LOG is 'xml'; expected text, json" in err
