"""`--if-running`: what a second start of a run says while the first is at work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.runs import liveness
from tests.support.command_line import Command, process


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "EVERY", 0.02)
    monkeypatch.setattr(liveness, "LOOK", 0.005)


@contextmanager
def at_work(data: Path) -> Iterator[Job[object, object]]:
    """The run runs/r, which this process owns."""
    values = {
        "data": {"path": str(data)},
        "model": {"name": "kmeans", "n_components": 3},
        "run": {"folder": str(data.parent / "runs"), "key": "r"},
    }
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        yield job


def test_skip_says_so_and_ends_with_0(emdist: Command, data: Path) -> None:
    command = ("fit", data, "-k", 3, "--run", "runs/r", "--if-running", "skip")
    with at_work(data) as job:
        plain = emdist(*command)
        assert plain.code == 0
        assert plain.out == ""
        assert "emdist: Skipped: another process is working on " in plain.err
        assert "/runs/r, epoch 1 (host" in plain.err
        assert "--if-running is 'skip'" in plain.err
        told = emdist(*command, "--json")
        assert told.code == 0
        (skipped,) = [line for line in told.lines if line["event"] == "skipped"]
        assert skipped["exit_code"] == 0
        job.complete()
    assert "already complete" in emdist(*command).err + emdist(*command).out


def test_an_unknown_choice_is_refused(emdist: Command, data: Path) -> None:
    found = emdist("fit", data, "-k", 3, "--if-running", "queue")
    assert found.code == 2
    assert "take_over" in found.err
    assert "skip" in found.err


def test_who_waits_can_be_interrupted(data: Path) -> None:
    with at_work(data) as job:
        waiting = process(
            "fit", data, "-k", 3, "--run", "runs/r", "--if-running", "wait", cwd=data.parent
        )
        assert waiting.stderr is not None
        line = ""
        while "waiting for another process: another process is working on" not in line:
            line = waiting.stderr.readline()
            assert line, "it ended"
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 130, err
        assert out == ""
        job.complete()  # nobody took the run over
