"""Measure contenders, each in its own process and by turns; results are medians of rounds."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from benchmarks.comparison.files import evict
from benchmarks.comparison.workload import Contender, Workload, median
from emdist.interfaces import Array

ROOT = Path(__file__).parents[2]
#: Number of threads of every contender: of OpenMP, BLAS, Numba, TBB (by affinity) and Dask.
THREADS = 2
LIMITS = {
    name: str(THREADS)
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",
    )
}
#: Seconds between turns, so that threads of the last one stop spinning.
PAUSE = 0.25


@dataclass(frozen=True)
class Measured:
    """The results of all turns of one contender.

    Attributes
    ----------
    title
        Title of the contender.
    values
        One value per round: seconds or passes.
    figures
        Figures of the last round.
    peak, extra
        Peak resident bytes, and how much of them the turn added to data and imports. None if
        unknown.
    absent
        Why the contender took no part; empty if it did.
    """

    title: str
    values: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    peak: int | None = None
    extra: int | None = None
    absent: str = ""

    @property
    def median(self) -> float:
        return median(self.values)


def job_of(
    workload: Workload, side: Contender, files: Mapping[str, Path], place: Path
) -> dict[str, Any]:
    """Make the description of the work that is sent to a contender's process."""
    return {
        "module": side.module,
        "task": side.task or workload.task,
        "files": {name: str(path) for name, path in files.items()},
        "options": {**workload.options, **side.options},
        "scratch": str(place),
        "labels": str(place / "labels.npy"),
        "threads": THREADS,
    }


class Side(Protocol):
    """The interface of a contender that takes turns."""

    @property
    def title(self) -> str: ...

    @property
    def labels(self) -> Path:
        """Path of the file for the labels that its last turn found, if it finds labels."""
        ...

    def turn(self, timeout: float) -> dict[str, Any]:
        """Ask for a turn and return the answer; ``{"absent": why}`` if none comes."""
        ...

    def answer(self, timeout: float) -> dict[str, Any]:
        """Wait until it is ready; ``{"absent": why}`` if it will not be."""
        ...


class Child:
    """The process of a contender."""

    def __init__(self, title: str, job: dict[str, Any], place: Path) -> None:
        self.title = title
        self.labels = place / "labels.npy"
        self._log = (place / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.comparison.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, **LIMITS, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # So that its own workers can be killed with it.
        )
        self._say(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()  # This ends its loop and closes its cluster.
            self._process.wait(20)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._log.close()

    def turn(self, timeout: float) -> dict[str, Any]:
        """Ask for a turn and return the answer; ``{"absent": why}`` if none comes."""
        try:
            self._say({})
        except BrokenPipeError:
            return {"absent": self._last_words()}
        return self.answer(timeout)

    def answer(self, timeout: float) -> dict[str, Any]:
        """Return the next line as JSON values; ``{"absent": why}`` if none comes."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if not waiting.select(timeout):
                return {"absent": f"no answer in {timeout:.0f} s"}
        line = self._process.stdout.readline()
        if not line:
            return {"absent": self._last_words()}
        found: dict[str, Any] = json.loads(line)
        return found

    def _say(self, values: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(values) + "\n").encode())
        self._process.stdin.flush()

    def _last_words(self) -> str:
        self._process.wait(20)
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return f"failed ({self._process.returncode}): {lines[-1] if lines else 'no message'}"


def run(
    workload: Workload,
    folder: Path,
    repeats: int,
    tell: Callable[[str], None],
    begin: Callable[[str, dict[str, Any], Path], AbstractContextManager[Side]] = Child,
    timeout: float = 3600.0,
) -> tuple[tuple[Measured, ...], dict[str, Array]]:
    """Measure all contenders of a workload by turns; return results, and labels by title.

    `begin` starts a contender: in its own process, or in this one for a test.
    """
    files = workload.make(folder)
    answers: dict[str, list[dict[str, Any]]] = {c.title: [] for c in workload.contenders}
    gone: dict[str, str] = {}
    with ExitStack() as stack:
        children: list[Side] = []
        for at, side in enumerate(workload.contenders):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            job = job_of(workload, side, files, place)
            child = stack.enter_context(begin(side.title, job, place))
            # Prepare one after another, because preparing needs time and memory as well.
            found = child.answer(timeout)
            if "absent" in found:
                gone[side.title] = found["absent"]
            else:
                children.append(child)
            tell(f"{workload.title}: {side.title} ready ({at + 1}/{len(workload.contenders)})")
        for turn in range(min(repeats, workload.repeats or repeats)):
            for child in [c for c in children if c.title not in gone]:
                if workload.cold:
                    evict(files)
                time.sleep(PAUSE)
                tell(f"{workload.title}: round {turn + 1}, {child.title}")
                found = child.turn(timeout)
                if "absent" in found:
                    gone[child.title] = found["absent"]
                else:
                    answers[child.title].append(found)
        labels = {c.title: np.load(c.labels) for c in children if c.labels.exists()}
    sides = (_measured(c.title, answers[c.title], gone) for c in workload.contenders)
    return tuple(sides), labels


def _measured(title: str, answers: list[dict[str, Any]], gone: Mapping[str, str]) -> Measured:
    if not answers:
        return Measured(title, absent=gone.get(title, "no turn"))
    extras = [a["extra"] for a in answers if a["extra"] is not None]
    return Measured(
        title,
        tuple(float(a["value"]) for a in answers),
        answers[-1]["figures"],
        max(int(a["peak"]) for a in answers),
        max(extras) if extras else None,
    )


def plain(measured: Measured) -> dict[str, Any]:
    """Return the results as JSON values."""
    return asdict(measured)
