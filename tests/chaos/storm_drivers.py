"""Where storms rage: a driver in a process of its own, with or without a cluster beside it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from tests.support.killable_jobs import ROOT, Fit, until

#: Memory of a worker that can run out of it.
LIMIT = "600 MB"
PRELOAD = Path(__file__).with_name("worker_preload.py")

#: Lines of a flow's log, as the events that they tell of.
_TOLD = {
    r"survey begins": {"event": "progress", "what": "survey"},
    r"fit begins": {"event": "planned"},
    r"iteration (?P<iteration>\d+): objective": {"event": "iterated"},
    r"checkpoint after": {"event": "saved"},
    r"label begins": {"event": "progress", "what": "label"},
}


class Flow(Fit):
    """A ``python -m flows.cluster`` at work: its log read as events."""

    def __init__(self, config: Mapping[str, Any], folder: Path, api: str) -> None:
        self._api = api
        super().__init__(config, folder)

    def command(self, file: Path) -> list[str]:
        return [sys.executable, "-m", "flows.cluster", str(file)]

    def environment(self) -> dict[str, str]:
        quick = {"PREFECT_CLIENT_MAX_RETRIES": "1"}
        return {**super().environment(), **quick, "PREFECT_API_URL": self._api}

    def _err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)
            for pattern, event in _TOLD.items():
                if (found := re.search(pattern, line)) is not None:
                    told = {name: int(value) for name, value in found.groupdict().items()}
                    self.tell({**event, "record": told} if told else event)

    def _out(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.threads[1].join()
        self.tell(None)


class House:
    """No cluster: the driver's threads do the work. The base of the others.

    It has state, the processes that it started; `close` ends them.
    """

    #: Kinds of faults that can happen here.
    kinds: tuple[str, ...] = ("kill driver", "terminate driver", "interrupt driver")

    def __init__(self, folder: Path, twice: bool = False) -> None:
        self.folder = folder
        self.twice = twice

    @property
    def cluster(self) -> dict[str, Any]:
        """Section of the configuration."""
        return {"kind": "threads", "threads": 2}

    def start(self, config: Mapping[str, Any]) -> Fit:
        """The driver, new or again; whatever it needs is there before."""
        return Fit(config, self.folder)

    def workers(self, fit: Fit) -> list[psutil.Process]:
        """Processes that work for `fit`, frozen ones left out."""
        return []

    def close(self) -> None:
        """Leave no process."""


class Local(House):
    """Workers that the driver started, and that end with it."""

    kinds = (
        *House.kinds, "kill a worker", "kill all workers", "freeze a worker for good",
        "freeze a worker", "slow worker",
    )  # fmt: skip

    @property
    def cluster(self) -> dict[str, Any]:
        return {"kind": "local", "n_workers": 2, "stall_timeout": 5.0}

    def workers(self, fit: Fit) -> list[psutil.Process]:
        return [p for p in family(fit.process.pid) if awake(p) and "spawn_main" in command(p)]


class Outside(House):
    """A scheduler and workers as processes of their own, each worker under a nanny."""

    kinds = (
        *Local.kinds, "kill the scheduler", "worker out of memory", "a worker joins",
        "a worker leaves", "kill a nanny and its worker",
    )  # fmt: skip
    wanted = 2
    host = "127.0.0.1"

    def __init__(self, folder: Path, twice: bool = False) -> None:
        super().__init__(folder, twice)
        self.file = folder / "scheduler.json"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: list[subprocess.Popen[bytes]] = []

    @property
    def cluster(self) -> dict[str, Any]:
        return {"kind": "address", "address": str(self.file), "stall_timeout": 5.0}

    def start(self, config: Mapping[str, Any]) -> Fit:
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.close()
            self.file.unlink(missing_ok=True)
            self.scheduler = self.run("scheduler", "--host", self.host, "--port=0")
            until(self.file.exists)
        while len(self._alive()) < self.wanted:
            self.join()
        return super().start(config)

    def join(self) -> None:
        """One more worker."""
        self.nannies.append(
            self.run("worker", "--nanny", "--nthreads=1", "--memory-limit", LIMIT,
                      "--preload", str(PRELOAD), "--death-timeout=60",
                      "--local-directory", str(self.folder / "dask"))
        )  # fmt: skip

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [n for n in self.nannies if n.poll() is None]

    def run(self, what: str, *options: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """``dask scheduler`` or ``dask worker``, by a command that runs it elsewhere."""
        file = ["--scheduler-file", str(self.file), "--no-dashboard"]
        with (self.folder / f"{what}s.log").open("ab") as log:
            return subprocess.Popen(
                [*within, sys.executable, "-m", f"distributed.cli.dask_{what}", *file, *options],
                env=environment(self.twice), cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def workers(self, fit: Fit) -> list[psutil.Process]:
        return [
            p for n in self._alive() for p in family(n.pid)
            if awake(p) and "spawn_main" in command(p)
        ]  # fmt: skip

    def leave(self, rng: random.Random) -> None:
        """SIGTERM to a nanny: it and its worker say goodbye."""
        rng.choice(self._alive()).terminate()

    def crash(self, rng: random.Random) -> None:
        """A machine that is gone: a nanny and its worker at once."""
        nanny = rng.choice(self._alive())
        end(nanny.pid)
        nanny.wait()

    def close(self) -> None:
        for process in [*self.nannies, *([self.scheduler] if self.scheduler else [])]:
            end(process.pid)
            process.wait()
        self.nannies, self.scheduler = [], None


class Prefect(House):
    """A flow's process; the API is that of `api`."""

    def __init__(self, folder: Path, api: str) -> None:
        super().__init__(folder)
        self.api = api

    def start(self, config: Mapping[str, Any]) -> Fit:
        return Flow(config, self.folder, self.api)


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """URL of a Prefect API on a free port, with its database in the folder `home`."""
    home.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-m", "emdist.flows.workarounds.server"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(home),
            "PREFECT_UI_ENABLED": "0", "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        },
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().decode().strip()}/api"
        until(lambda: _answers(url))
        yield url
    finally:
        server.stdin.close()  # it ends when nobody holds this any more
        server.wait(60)
        server.stdout.close()


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def environment(twice: bool = False) -> dict[str, str]:
    """Of schedulers and workers: what a cluster of short patience would be started with."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s",
        **({"EMDIST_CHAOS_TWICE": "1"} if twice else {}),
    }


def family(pid: int) -> list[psutil.Process]:
    """Living descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def awake(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(pid: int) -> None:
    """SIGKILL to a process and all that it started."""
    for one in [*(p.pid for p in family(pid)), pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
