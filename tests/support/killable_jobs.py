"""Real jobs in processes of their own, to be killed: configuration, start, what they left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
import zarr

from tests.support.paths import ROOT

#: Longer than anything here takes on a busy machine: seconds.
PATIENCE = 120.0


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for a condition, never for a time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return value


def overlapping(
    path: Path, rows: int = 40_000, features: int = 6, clusters: int = 6, chunk: int = 2500
) -> Path:
    """Clusters that overlap, so that a fit takes many iterations; 16 blocks of 60 kB."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1.2, (clusters, features))
    x = centres[rng.integers(0, clusters, rows)] + rng.normal(size=(rows, features))
    array = zarr.create_array(path, shape=x.shape, chunks=(chunk, features), dtype="float32")
    array[:] = x.astype("float32")
    return path


def configuration(
    data: Path, runs: Path, model: str, key: str = "r", cluster: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Two starts, a checkpoint after every iteration, labels and scores."""
    return {
        "data": {"path": str(data), "block_size": "60000 B"},
        "model": {"name": model, "n_components": 6},
        "fit": {"n_init": 2, "seed": 1, "max_iter": 12, "tol": 1e-9},
        "cluster": {"kind": "threads", "threads": 2} if cluster is None else dict(cluster),
        "run": {"folder": str(runs), "key": key, "checkpoint_iterations": 1},
        "labels": {"outputs": ["labels", "score"]},
    }


def result(run: Path) -> dict[str, str]:
    """sha256 of the model and of every label chunk: all bytes that a user could compare."""
    found = {"model": run / "final/model.safetensors"}
    labels = run / "labels.zarr"
    for name in ("labels", "score", "probability", "progress", "emdist/progress"):
        found |= {
            str(p.relative_to(run)): p for p in (labels / name / "c").rglob("*") if p.is_file()
        }
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(found.items())
        if not name.endswith(".partial")
    }


class Fit:
    """A ``python -m emdist fit --json`` at work, and the events that it has printed."""

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        file = folder / f"{config['run']['key']}.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        self.process = subprocess.Popen(
            self.command(file), env=self.environment(), cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self.errors: list[str] = []
        #: Whole lines that are no JSON: two events on one, or parts of them.
        self.torn: list[str] = []
        self._told: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.threads = [
            threading.Thread(target=work, daemon=True) for work in (self._out, self._err)
        ]
        for thread in reversed(self.threads):
            thread.start()

    def command(self, file: Path) -> list[str]:
        """What is run with the configuration in `file`."""
        return [sys.executable, "-m", "emdist", "fit", "--config", str(file), "--json"]

    def environment(self) -> dict[str, str]:
        """Of the process."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def tell(self, event: dict[str, Any] | None) -> None:
        """Pass an event on to who waits for it; None: there will be no more."""
        self._told.put(event)

    def _out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # the last one may have been cut by a kill
                try:
                    self.tell(json.loads(line))
                except ValueError:
                    self.torn.append(line)
        self.tell(None)

    def _err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    def event(self, patience: float = PATIENCE) -> dict[str, Any] | None:
        """The next event, or None when there will be no more; queue.Empty if none comes."""
        told = self._told.get(timeout=patience)
        if told is None:
            self.tell(None)  # for whoever asks again
            return None
        self.events.append(told)
        return told

    def reach(self, name: str, times: int = 1) -> dict[str, Any]:
        """Wait for the `times`-th event of that name."""
        while True:
            event = self.event()
            assert event is not None, (name, self.events[-3:], self.errors, self.torn)
            if event["event"] == name:
                times -= 1
                if times == 0:
                    return event

    def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        """Wait for the end; the exit code."""
        while self.event() is not None:
            pass
        code = self.process.wait(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)
        return code

    @property
    def stage(self) -> str:
        """Where it was when last heard of."""
        began = [e["stage"] for e in self.events if e["event"] == "began"]
        return began[-1] if began else "start"


@contextlib.contextmanager
def fitting(config: Mapping[str, Any], folder: Path) -> Iterator[Fit]:
    """A fit that is gone at the end, with all that it started."""
    fit = Fit(config, folder)
    try:
        yield fit
    finally:
        family = [fit.process.pid]
        with contextlib.suppress(psutil.NoSuchProcess):
            family += [p.pid for p in psutil.Process(fit.process.pid).children(recursive=True)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        fit.process.wait()


def undisturbed(config: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The result of a run that nobody disturbs."""
    with fitting(config, folder) as fit:
        assert fit.end() == 0, fit.errors
    return result(Path(config["run"]["folder"]) / config["run"]["key"])


def none_alive(processes: list[psutil.Process]) -> bool:
    """Whether all of them have ended."""

    def alive(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return not any(map(alive, processes))
