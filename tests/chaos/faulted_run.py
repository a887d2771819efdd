"""One run among faults: started, disturbed, started again, until it has ended with its bits."""

from __future__ import annotations

import contextlib
import queue
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from emdist.report.lines import say
from tests.chaos.faults import ACTS, ENDS, LOST, started
from tests.chaos.storm_drivers import House, end
from tests.support.killable_jobs import PATIENCE, Fit, configuration, none_alive, result, until

STAGES = ("start", "survey", "seeding", "iterating", "checkpointing", "labelling")
#: Events in an iteration.
NEWS = 3
#: Wrong things after which a run is given up.
ENOUGH = 20
#: Outcome of a signal to a driver that had just ended by itself.
LATE = "too late"


@dataclass(frozen=True)
class Task:
    """What a run is to fit: two starts of so many iterations, each with a checkpoint.

    Attributes
    ----------
    blocks
        That the rows are read in.
    """

    data: Path
    model: str
    iterations: int
    block_size: str = "60000 B"
    blocks: int = 16

    def configuration(self, folder: Path, name: str, cluster: dict[str, Any]) -> dict[str, Any]:
        config = configuration(self.data, folder, self.model, name, cluster)
        config["fit"] |= {"max_iter": self.iterations, "tol": 0.0, "init": "k-means||"}
        config["data"]["block_size"] = self.block_size
        return config


@dataclass
class Fault:
    """One that was injected: what, when, and what became of it."""

    voyage: str
    kind: str
    stage: str
    outcome: str = ""
    seconds: float = 0.0


@dataclass
class Log:
    """All that happened. It has state because storms last."""

    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    voyages: list[dict[str, object]] = field(default_factory=list)

    def met(self, voyage: str) -> list[Fault]:
        """Faults that met that run: not the ones that came when it was over."""
        return [f for f in self.faults if f.voyage == voyage and f.outcome != LATE]


@dataclass(frozen=True)
class Voyage:
    """One run from its beginning to its end, under the faults of `deck` while it lasts."""

    name: str
    house: House
    task: Task
    wanted: Mapping[str, str]
    rng: random.Random
    log: Log

    @property
    def config(self) -> dict[str, Any]:
        return self.task.configuration(self.house.folder, self.name, self.house.cluster)

    @property
    def faults(self) -> list[Fault]:
        """Those that met this run."""
        return self.log.met(self.name)

    def sail(self, deck: Iterator[tuple[str, str]], most: int) -> None:
        """Start, disturb, start again; at most `most` faults; then let it end and compare."""
        began = time.monotonic()
        while True:
            fit = self.house.start(self.config)
            family = started(fit)
            while (left := most - len(self.faults)) > 0:
                if not self._disturb(fit, *next(deck), family, left):
                    break
            if self._last(fit, family) == 0 or len(self.log.problems) > ENOUGH:
                break
        found = result(self.house.folder / self.name)
        if found != self.wanted:
            wrong = sorted(k for k in self.wanted if found.get(k) != self.wanted[k])
            self.log.problems.append(f"{self.name}: other bits in {wrong}")
        self.log.voyages.append(
            {
                "voyage": self.name,
                "faults": len(self.faults),
                "kills": dict(Counter(f.stage for f in self.faults if is_kill(f))),
                "same bits": found == self.wanted,
                "seconds": round(time.monotonic() - began, 1),
            }
        )

    def _disturb(
        self, fit: Fit, kind: str, stage: str, family: list[psutil.Process], left: int
    ) -> bool:
        """One fault of `left` that are to come; False when the driver has ended."""
        try:
            if not self._reach(fit, stage, left):
                return False
            family.extend(started(fit))
            now = self._stage(fit)
            if not ACTS[kind](self.house, fit, self.rng):
                return True  # not possible now: say, no worker is left to be frozen
            fault = Fault(self.name, kind, now)
            self.log.faults.append(fault)
            return self._watch(fit, fault, family)
        except queue.Empty:
            self._hangs(fit)
            return False

    def _stage(self, fit: Fit) -> str:
        """Where the driver is; a flow does not say that it goes on from a checkpoint."""
        stage = stage_of(fit)
        saved = any((self.house.folder / self.name / "ckpt").glob("[0-9]*/manifest.json"))
        return "iterating" if stage == "seeding" and saved else stage

    def _reach(self, fit: Fit, stage: str, left: int) -> bool:
        """Let the driver come to `stage` and to a random moment of it; False if it has ended.

        The moment is so early that as much of the stage remains for each of the other faults.
        """
        if stage == "start" and not fit.events:
            time.sleep(self.rng.uniform(0, 2))
            return fit.process.poll() is None
        while STAGES.index(stage_of(fit)) < STAGES.index(stage):
            if fit.event() is None:
                return False
        if stage == "labelling":
            # Labelling tells little, and its time depends on the machine: its blocks count.
            done = self._labelled()
            share = (self.task.blocks - done) / (left + 1)
            self._label_on(fit, done + int(self.rng.random() * share))
            return fit.process.poll() is None
        tight = stage in STAGES[3:5] and self.task.iterations - iteration_of(fit) <= 2 * left
        for _ in range(0 if tight else self.rng.choice([0, 0, 1, 3])):
            if fit.event() is None:
                return False
        # A moment, not a wait: between two events lie reading, computing and saving.
        time.sleep(self.rng.random() * (0.003 if stage == "checkpointing" else 0.05))
        return fit.process.poll() is None

    def _labelled(self) -> int:
        """Blocks whose labels are noted."""
        place = self.house.folder / self.name / "labels.zarr/progress/c"
        return len(list(place.iterdir())) if place.is_dir() else 0

    def _label_on(self, fit: Fit, blocks: int) -> None:
        """Wait until so many blocks are labelled, or the driver has ended."""
        until(lambda: self._labelled() >= blocks or fit.process.poll() is not None)

    def _watch(self, fit: Fit, fault: Fault, family: list[psutil.Process]) -> bool:
        """Wait for what becomes of it; whether the driver goes on."""
        at = time.monotonic()
        if fault.kind in ENDS:
            ended(fit, family)
            while fit.event() is not None:
                pass
            fault.outcome = LATE if fit.process.poll() == 0 else "started again"
        elif fault.stage == "labelling":
            # One more than was noted: what was at work is perhaps noted after the fault.
            self._label_on(fit, min(self._labelled() + 2, self.task.blocks))
            fault.outcome = "went on" if fit.process.poll() is None else "ended"
        else:
            # More than one: the next was perhaps on its way already.
            told = [fit.event() for _ in range(NEWS)]
            fault.outcome = "ended" if None in told else "went on"
        fault.seconds = round(time.monotonic() - at, 2)
        say(str(fault), sys.stderr)
        return fault.outcome == "went on"

    def _hangs(self, fit: Fit) -> None:
        last = self.log.faults[-1] if self.log.faults else None
        self.log.problems.append(f"{self.name}: nothing came after {last}")
        if last is not None:
            last.outcome = "hung"
        fit.kill()

    def _last(self, fit: Fit, family: list[psutil.Process]) -> int:
        """The driver's end: its exit code, told clearly; all that it started is gone."""
        try:
            family.extend(started(fit))
            code = fit.end()
        except queue.Empty:
            self._hangs(fit)
            code = fit.process.wait()
        fault = next(reversed(self.log.faults), Fault(self.name, "none", ""))
        allowed = {0, *ENDS.get(fault.kind, ())}
        if stage_of(fit) == "start":  # Python itself was still starting
            allowed |= {-15, -2, 1, 130}
        if self.house.cluster["kind"] != "threads":
            allowed.add(LOST)
        if code == LOST:
            fault.outcome = "told, started again"
        elif code == 0 and fault.outcome == "ended":
            fault.outcome = "went on"
        if code not in allowed and fault.outcome != "hung":
            self.log.problems.append(f"{self.name}: {fault} ended with {code}: {fit.errors[-3:]}")
        if stage_of(fit) != "start" and shows_traceback(fit.errors, is_kill(fault)):
            self.log.problems.append(f"{self.name}: {fault} shows a traceback: {fit.errors[-12:]}")
        if fit.torn:
            self.log.problems.append(f"{self.name}: {fault} tore lines: {fit.torn[:3]}")
        self._gone(fault, family)
        return code

    def _gone(self, fault: Fault, family: list[psutil.Process]) -> None:
        """Nothing that the driver started is left; what was frozen cannot go by itself."""
        thaw(family)
        try:
            until(partial(none_alive, family), 60)
        except AssertionError:
            self.log.problems.append(f"{self.name}: {fault} left processes behind")
            for process in family:
                end(process.pid)


def shows_traceback(lines: list[str], killed: bool) -> bool:
    """Whether there is a traceback, other than Python's own of a process that starts as an orphan.

    A process whose parent was killed while it started says that nobody sends it what to run. Only
    Python runs in it then, and nothing that emdist does can keep it from saying so.
    """
    for at, line in enumerate(lines):
        if "Traceback" not in line:
            continue
        rest = lines[at + 1 :]
        end = next((n for n, one in enumerate(rest) if not one.startswith(" ")), len(rest))
        files = [one for one in rest[:end] if one.lstrip().startswith("File ")]
        starting = all("<string>" in one or "multiprocessing/spawn.py" in one for one in files)
        unsent = end < len(rest) and rest[end].startswith("EOFError: Ran out of input")
        if not (killed and files and starting and unsent):
            return True
    return False


def is_kill(fault: Fault) -> bool:
    """Whether a process, or several at one moment, got SIGKILL."""
    return fault.kind.startswith("kill")


def ended(fit: Fit, family: list[psutil.Process]) -> None:
    """Wait for the driver's end; a frozen child would hold its output open after that."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        fit.process.wait(PATIENCE)
        thaw(family)


def thaw(family: list[psutil.Process]) -> None:
    """End what is frozen: one that froze while it started has not asked to go with its driver."""
    for process in family:
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                end(process.pid)


def iteration_of(fit: Fit) -> int:
    """The iteration that the driver was last heard to have done."""
    for event in reversed(fit.events):
        if event["event"] == "iterated":
            return int(event["record"]["iteration"])
        if event["event"] == "planned":
            return int(event.get("done", 0))
    return 0


#: Stages that begin with word of them.
_BEGUN = {"survey": "survey", "seeding": "seeding", "label": "labelling"}
#: Where a driver is after an event.
_AFTER = {"iterated": "checkpointing", "saved": "iterating", "result": "labelling"}


def stage_of(fit: Fit) -> str:
    """Where the driver was when last heard of."""
    for event in reversed(fit.events):
        name = event["event"]
        if name == "planned":  # each segment begins so
            return "iterating" if event.get("done") else "seeding"
        begun = _BEGUN.get(str(event.get("what") or event.get("stage")))
        if name in ("began", "progress") and begun is not None:
            return begun
        if name in _AFTER:
            return _AFTER[name]
    return "start"
