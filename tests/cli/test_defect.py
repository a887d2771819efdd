"""A command that fails by a defect says so in one message, and keeps the traceback in a file."""

from __future__ import annotations

import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.jobs import records as saved
from emdist.report.defect import told
from emdist.runtime.defects import REPORT
from emdist.runtime.version import version
from tests.support.command_line import Answer, Command


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    (tmp_path / "spool").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spool"))
    return tmp_path / "spool"


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


def kept(answer: Answer, spool: Path) -> str:
    (path,) = spool.glob("emdist-defect-*.log")
    assert str(path) in answer.err + answer.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path.read_text()


@pytest.mark.parametrize(
    ("command", "module", "name"),
    [
        ("fit x.zarr -k 2", zarr, "open_array"),
        ("sweep x.zarr -k 2,3,4", zarr, "open_array"),
        ("inspect x.zarr", zarr, "open_array"),
        ("label x.zarr x.zarr out.zarr", saved, "read_model"),
        ("ingest a.npy y.zarr", np, "result_type"),
    ],
)
def test_a_library_that_has_changed(
    command: str, module: Any, name: str, emdist: Command, data: Path, spool: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    np.save("a.npy", np.zeros((4, 2)))
    error = AttributeError("'str' object has no attribute 'value'")
    monkeypatch.setattr(module, name, failing(error))
    answer = emdist(*command.split())
    assert answer.code == 1
    assert len(answer.err) < 700
    assert "no fault of your data: AttributeError: 'str' object has no attribute" in answer.err
    assert REPORT in answer.err
    assert not re.search("damaged|corrupt|Traceback", answer.err)
    text = kept(answer, spool)
    assert f"emdist {version()}" in text
    assert "Traceback (most recent call last)" in text
    assert "test_defect.py" in text


def test_labels_are_not_called_damaged(
    emdist: Command, data: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emdist.store.labels import writer as labels

    monkeypatch.setattr(labels, "put_part", failing(TypeError("put_part() got a surprise")))
    answer = emdist("fit", "x.zarr", "-k", 2, "--run", "run")
    assert answer.code == 1
    assert "no fault of your data: TypeError" in answer.err
    assert "damaged" not in answer.err
    monkeypatch.undo()
    monkeypatch.chdir(data.parent)
    assert emdist("fit", "x.zarr", "-k", 2, "--run", "run").code == 0
    assert emdist("inspect", "run", "--verify").code == 0


def test_as_json_it_is_an_event(
    emdist: Command, data: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr, "open_array", failing(KeyError("settings")))
    answer = emdist("fit", "x.zarr", "-k", 2, "--json")
    last = answer.lines[-1]
    assert (last["event"], last["exit_code"], answer.code) == ("error", 1, 1)
    assert "defect" in last["message"]
    kept(answer, spool)


def test_where_no_file_can_be_written_the_traceback_is_shown(
    emdist: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", failing(OSError(28, "the disk is full")))
    monkeypatch.setattr(zarr, "open_array", failing(AttributeError("gone")))
    answer = emdist("fit", "x.zarr", "-k", 2)
    assert answer.code == 1
    assert "Traceback (most recent call last)" in answer.err
    assert "The traceback is printed above" in answer.err


def test_no_secret_is_kept(spool: Path) -> None:
    try:
        raise AttributeError("s3://key:hunter2@bucket/x failed")
    except AttributeError as error:
        text, code = told(error)
    assert code == 1
    (path,) = spool.iterdir()
    assert "hunter2" not in text + path.read_text()


def test_what_is_no_defect_is_not_called_one(spool: Path) -> None:
    text, code = told(MemoryError("Unable to allocate 119 GiB"))
    assert code == 1
    assert "ran out of memory" in text
    text, code = told(PermissionError(13, "Permission denied", "/data"))
    assert code == 5
    assert "Permission denied" in text
    assert not list(spool.iterdir())


def test_a_closed_pipe_is_left_to_whoever_closed_it(
    emdist: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr, "open_array", failing(BrokenPipeError(32, "Broken pipe")))
    answer = emdist("inspect", "x.zarr")
    assert "defect" not in answer.err
