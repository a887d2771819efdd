"""Storms: runs under random faults, one after the other, until each has ended with its bits.

``make chaos``, or ``python tests/chaos/storm.py --seed 1 --faults 150 --marathon 100``. Prints a
table of the faults by kind and writes all of them as JSON. Exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import queue
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from houses import House, Local, Outside, end
from injections import ACTS, ENDS, LOST, started
from jobs import Fit, configuration, none_alive, overlapping, result, undisturbed, until
from storm_report import show

STAGES = ("start", "survey", "seeding", "iterating", "checkpointing", "labelling")
#: Events in an iteration.
NEWS = 3
HOUSES = {"threads": House, "local": Local, "outside": Outside}


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


@dataclass(frozen=True)
class Voyage:
    """One run from its beginning to its end, under the faults of `deck` while it lasts."""

    name: str
    house: House
    model: str
    data: Path
    wanted: dict[str, str]
    rng: random.Random
    log: Log
    iterations: int

    @property
    def config(self) -> dict[str, object]:
        return storm_configuration(
            self.data, self.house.folder, self.model, self.iterations, self.name, self.house.cluster
        )

    def sail(self, deck: Iterator[tuple[str, str]], most: int) -> None:
        """Start, disturb, start again; at most `most` faults; then let it end and compare."""
        began, before = time.monotonic(), len(self.log.faults)
        while True:
            fit = self.house.start(self.config)
            family = started(fit)
            while len(self.log.faults) - before < most and self._disturb(fit, *next(deck), family):
                pass
            if self._last(fit, family) == 0:
                break
        found = result(self.house.folder / self.name)
        if found != self.wanted:
            wrong = sorted(k for k in self.wanted if found.get(k) != self.wanted[k])
            self.log.problems.append(f"{self.name}: other bits in {wrong}")
        self.log.voyages.append(
            {
                "voyage": self.name,
                "faults": len(self.log.faults) - before,
                "same bits": found == self.wanted,
                "seconds": round(time.monotonic() - began, 1),
            }
        )

    def _disturb(self, fit: Fit, kind: str, stage: str, family: list[object]) -> bool:
        """One fault; False when the driver has ended."""
        try:
            if not self._reach(fit, stage):
                return False
            family.extend(started(fit))
            now = stage_of(fit)
            if not ACTS[kind](self.house, fit, self.rng):
                return True  # not possible now: say, no worker is left to be frozen
            fault = Fault(self.name, kind, now)
            self.log.faults.append(fault)
            return self._watch(fit, fault)
        except queue.Empty:
            self._hangs(fit)
            return False

    def _reach(self, fit: Fit, stage: str) -> bool:
        """Let the driver come to `stage` and to a random moment of it; False if it has ended."""
        if stage == "start" and not fit.events:
            time.sleep(self.rng.uniform(0, 2))
            return fit.process.poll() is None
        while STAGES.index(stage_of(fit)) < STAGES.index(stage):
            if fit.event() is None:
                return False
        for _ in range(self.rng.choice([0, 0, 1, 3])):
            if fit.event() is None:
                return False
        # A moment, not a wait: between two events lie reading, computing and saving.
        time.sleep(self.rng.random() * (0.003 if stage == "checkpointing" else 0.05))
        return fit.process.poll() is None

    def _watch(self, fit: Fit, fault: Fault) -> bool:
        """Wait for what becomes of it; whether the driver goes on."""
        at = time.monotonic()
        if fault.kind in ENDS:
            while fit.event() is not None:
                pass
            fault.outcome = "started again"
        else:
            # More than one: the next was perhaps on its way already.
            told = [fit.event() for _ in range(NEWS)]
            fault.outcome = "ended" if None in told else "went on"
        fault.seconds = round(time.monotonic() - at, 2)
        print(fault, file=sys.stderr, flush=True)
        return fault.outcome == "went on"

    def _hangs(self, fit: Fit) -> None:
        last = self.log.faults[-1] if self.log.faults else None
        self.log.problems.append(f"{self.name}: nothing came after {last}")
        if last is not None:
            last.outcome = "hung"
        fit.kill()

    def _last(self, fit: Fit, family: list[object]) -> int:
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
        if stage_of(fit) != "start" and any("Traceback" in line for line in fit.errors):
            self.log.problems.append(f"{self.name}: {fault} shows a traceback: {fit.errors[-12:]}")
        self._gone(fault, family)
        return code

    def _gone(self, fault: Fault, family: list[object]) -> None:
        """Nothing that the driver started is left; what was frozen cannot go by itself."""
        frozen = [p for p in family if is_frozen(p)]
        for process in frozen:
            end(process.pid)
        try:
            until(partial(none_alive, family), 60)
        except AssertionError:
            self.log.problems.append(f"{self.name}: {fault} left processes behind")
            for process in family:
                end(process.pid)


def is_frozen(process: object) -> bool:
    """Whether a process has been stopped."""
    import psutil

    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def stage_of(fit: Fit) -> str:
    """Where the driver was when last heard of."""
    if not fit.events:
        return "start"
    for event in reversed(fit.events):
        name = event["event"]
        if name == "progress" and event["what"] in ("survey", "label"):
            return {"survey": "survey", "label": "labelling"}[event["what"]]
        if name == "planned" or (name == "progress" and event["what"] == "seeding"):
            return "seeding"
        if name == "iterated":
            return "checkpointing"
        if name in ("saved", "result"):
            return "iterating"
    return "start"


def storm_configuration(
    data: Path, folder: Path, model: str, iterations: int, name: str, cluster: dict[str, object]
) -> dict[str, object]:
    """Two starts of so many iterations, each with a checkpoint."""
    config = configuration(data, folder, model, name, cluster)
    config["fit"] |= {"max_iter": iterations, "tol": 0.0, "init": "k-means||"}
    return config


def deck(
    rng: random.Random, kinds: Sequence[str], stages: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Faults without end: shuffled, every kind as often as any other."""
    turns = itertools.cycle(stages)
    while True:
        for kind in rng.sample(kinds, len(kinds)):
            yield kind, next(turns) if rng.random() < 0.5 else rng.choice(STAGES[3:5])


def storms(
    seed: int,
    faults: int,
    marathon: int,
    houses: Sequence[str],
    folder: Path,
    long: str = "outside",
) -> Log:
    """`faults` of them in each house, in runs of a dozen; and a run with `marathon` of them."""
    log, rng = Log(), random.Random(seed)
    data = overlapping(folder / "x.zarr")
    wanted: dict[tuple[str, int], dict[str, str]] = {}

    def voyage(name: str, house: House, model: str, iterations: int) -> Voyage:
        if (model, iterations) not in wanted:
            quiet = {"kind": "threads", "threads": 1}
            key = f"wanted-{model}-{iterations}"
            config = storm_configuration(data, folder, model, iterations, key, quiet)
            wanted[model, iterations] = undisturbed(config, folder)
        return Voyage(name, house, model, data, wanted[model, iterations], rng, log, iterations)

    plans = [(name, faults, 12, 12) for name in houses]
    plans += [(long, marathon, marathon, 4 * marathon)] if marathon else []
    for at, (name, number, most, iterations) in enumerate(plans):
        aim = len(log.faults) + number
        # A run that is to last is not waited to its labels for.
        cards = deck(rng, HOUSES[name].kinds, STAGES if most < marathon else STAGES[:-1])
        for leg in itertools.count():
            left = aim - len(log.faults)
            if left <= 0:
                break
            place = folder / f"{at}-{name}-{leg}"
            place.mkdir()
            model = ("kmeans", "full")[leg % 2]
            house = HOUSES[name](place, twice=leg % 3 == 2)
            try:
                voyage(f"{at}-{name}-{leg}", house, model, iterations).sail(cards, min(most, left))
            finally:
                house.close()
            print(log.voyages[-1], file=sys.stderr, flush=True)
    return log


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--faults", type=int, default=40, help="in each house")
    parser.add_argument("--marathon", type=int, default=100, help="faults in one run; 0 for none")
    parser.add_argument("--long", default="outside", choices=HOUSES, help="house of that run")
    parser.add_argument("--houses", default=",".join(HOUSES))
    parser.add_argument("--report", default="chaos.json")
    asked = parser.parse_args()
    houses = [name for name in asked.houses.split(",") if name]
    began = time.monotonic()
    with TemporaryDirectory(prefix="storm-") as folder:
        log = storms(asked.seed, asked.faults, asked.marathon, houses, Path(folder), asked.long)
    show(log.faults, log.problems, log.voyages, asked.seed, time.monotonic() - began, asked.report)
    return 1 if log.problems else 0


if __name__ == "__main__":
    sys.exit(main())
