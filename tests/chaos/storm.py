"""Storms: runs under random faults, one after the other, until each has ended with its bits.

``make chaos``, or ``python -m tests.chaos.storm --seed 1 --faults 40 --kills 100``. In each house
short runs of a dozen faults of every kind, and one long run that is killed so many times. Prints
the faults by kind and the kills by phase, and writes all of them as JSON. Exit code 1 if anything
was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from emdist.report.lines import say
from tests.chaos.faulted_run import STAGES, Log, Task, Voyage, is_kill
from tests.chaos.storm_drivers import House, Local, Outside, Prefect, prefect_server
from tests.chaos.storm_report import show
from tests.support.killable_jobs import overlapping, undisturbed

HOUSES = {"threads": House, "local": Local, "outside": Outside, "flow": Prefect}
#: Of the kills of a long run, the parts that are aimed at each phase; the rest hit iterations
#: and checkpoints.
AIMED = {"start": 0.05, "survey": 0.15, "seeding": 0.15, "labelling": 0.12}
#: How often each is drawn; a lost scheduler takes the driver half a minute to be sure of.
WEIGHTS = {"kill driver": 4, "kill the scheduler": 1}
#: Faults in a short run.
DOZEN = 12


def deck(
    rng: random.Random, kinds: Sequence[str], stages: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Faults without end: shuffled, every kind as often as any other."""
    turns = itertools.cycle(stages)
    while True:
        for kind in rng.sample(kinds, len(kinds)):
            yield kind, next(turns) if rng.random() < 0.5 else rng.choice(STAGES[3:5])


def kills(
    rng: random.Random, kinds: Sequence[str], number: int, done: Callable[[], int]
) -> Iterator[tuple[str, str]]:
    """Kills without end, aimed at one phase after the other by how many of `number` are done.

    When in a phase each comes, the voyage decides by what is left of it.
    """
    deadly = [kind for kind in kinds if kind.startswith("kill")]
    weights = [WEIGHTS.get(kind, 2) for kind in deadly]
    aimed = {stage: round(number * part + 0.25) for stage, part in AIMED.items()}
    early = [stage for stage in STAGES[:3] for _ in range(aimed[stage])]
    while True:
        if (at := done()) < len(early):
            # Only a driver that starts again comes to these phases again.
            yield rng.choice(deadly) if at % 3 == 2 else "kill driver", early[at]
        else:
            late = at >= number - aimed["labelling"]
            stage = STAGES[-1] if late else rng.choice(STAGES[3:5])
            yield rng.choices(deadly, weights)[0], stage


class Storm:
    """Voyages from one seed. It has state: the log, and the results that were computed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.log, self.rng, self.folder = Log(), random.Random(seed), folder
        self.short = overlapping(folder / "short.zarr")
        self._wanted: dict[Task, dict[str, str]] = {}

    def rage(self, name: str, faults: int, api: str = "") -> None:
        """`faults` of every kind in house `name`, in runs of a dozen."""
        cards = deck(self.rng, HOUSES[name].kinds, STAGES)
        done = 0
        for leg in itertools.count():
            if done >= faults:
                return
            task = Task(self.short, ("kmeans", "full")[leg % 2], 12)
            voyage = self._sail(
                f"{name}-{leg}", name, task, cards, min(DOZEN, faults - done), leg, api
            )
            done += len(voyage.faults)

    def march(self, name: str, number: int, api: str = "") -> None:
        """One run in house `name` that is killed `number` times."""
        # Long by small blocks and many iterations: of each phase enough is left for the next kill.
        data, rows, chunk = self.folder / f"long-{number}.zarr", 60_000 + 900 * number, 500
        if not data.exists():
            overlapping(data, rows=rows, chunk=chunk)
        task = Task(data, "full", 10 + 2 * number, "12000 B", -(-rows // chunk))
        run = f"{name}-long"
        cards = kills(self.rng, HOUSES[name].kinds, number, lambda: len(self.log.met(run)))
        voyage = self._sail(run, name, task, cards, number, 0, api)
        if (done := sum(map(is_kill, voyage.faults))) < number:
            self.log.problems.append(f"{run} ended after {done} of {number} kills")

    def _sail(
        self, name: str, kind: str, task: Task, cards: Iterator[tuple[str, str]], most: int,
        leg: int, api: str,
    ) -> Voyage:  # fmt: skip
        place = self.folder / name
        place.mkdir()
        house = Prefect(place, api) if kind == "flow" else HOUSES[kind](place, twice=leg % 3 == 2)
        voyage = Voyage(name, house, task, self._undisturbed(task), self.rng, self.log)
        try:
            voyage.sail(cards, most)
        finally:
            house.close()
        say(str(self.log.voyages[-1]), sys.stderr)
        return voyage

    def _undisturbed(self, task: Task) -> Mapping[str, str]:
        if task not in self._wanted:
            quiet = {"kind": "threads", "threads": 1}
            config = task.configuration(self.folder, f"wanted-{len(self._wanted)}", quiet)
            self._wanted[task] = undisturbed(config, self.folder)
        return self._wanted[task]


def storms(
    seed: int, folder: Path, faults: Mapping[str, int], long: Mapping[str, int] | None = None
) -> Log:
    """In each house so many `faults`, and so many kills in one `long` run."""
    storm = Storm(seed, folder)
    with contextlib.ExitStack() as stack:
        flows = "flow" in {**faults, **(long or {})}
        api = stack.enter_context(prefect_server(folder / "prefect")) if flows else ""
        for name, number in faults.items():
            storm.rage(name, number, api)
        for name, number in (long or {}).items():
            storm.march(name, number, api)
    return storm.log


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--faults", type=int, default=40, help="in each house")
    parser.add_argument("--houses", default=",".join(HOUSES), help="of these")
    parser.add_argument("--kills", type=int, default=100, help="in each long run")
    parser.add_argument("--long", default="threads,local,outside", help="houses of long runs")
    parser.add_argument("--report", default="chaos.json", help="JSON; the table beside it as .txt")
    asked = parser.parse_args()
    faults = dict.fromkeys(filter(None, asked.houses.split(",")), asked.faults)
    long = dict.fromkeys(filter(None, asked.long.split(",")), asked.kills)
    began = time.monotonic()
    with TemporaryDirectory(prefix="storm-") as folder:
        log = storms(asked.seed, Path(folder), faults, long if asked.kills else None)
    show(log, asked.seed, time.monotonic() - began, Path(asked.report))
    return 1 if log.problems else 0


if __name__ == "__main__":
    sys.exit(main())
