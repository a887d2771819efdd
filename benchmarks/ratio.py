"""Is this working tree slower than an older commit? It measures old and new by turns.

    python -m benchmarks.ratio --old REF [--rounds 7] [--only ROW ...]

The wheels of the git reference REF and of the working tree are built, and each is installed with
the same pins (`constraints.txt`) into its own environment. A turn of a row is a process in one of
the environments. A round is one turn of each. The order alternates from round to round, so that
passing disturbances of the machine affect both sides. Before the rounds, each side has a turn that
is not counted: it compiles kernels into that side's own cache and reads the data into the page
cache. Two times are measured: of the whole process ("whole"), and of the work proper ("work"),
without the warm-up of the row in the same process. The exit code is 1 if a row has lost; otherwise
2 if a row could not be compared, and 0 if all were.

**The interval.** A round gives one ratio new / old. Of n sorted ratios, the interval reaches from
the j-th least to the j-th greatest. Whatever the distribution of the ratios, the probability that
their median lies outside is 2 P(B < j), where B, the number of ratios below the median, is binomial
with n trials and p = 1/2 (W. R. Thompson, On confidence ranges for the median and other expectation
distributions for populations of unknown distribution form, Annals of Mathematical Statistics 7,
1936, 122-128; H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, 2003, section 7.1).
The only assumptions are that rounds are independent and that their ratios have the same median. j
is the largest number that leaves a confidence of 95 per cent. For seven rounds it is 1: the
interval reaches from the least to the greatest ratio, with the confidence 1 - 2/2^7 = 98.4 per cent
(from the second to the sixth it would be 87.5). With fewer than six rounds no interval has this
confidence, and nothing is decided.

**The verdict.** A row is "lost" if the interval of one of its times lies wholly above 1.05. Only
the whole process counts if the work proper takes less than a millisecond. If the median is 1.05 or
less, each of the two times is "lost" by chance at most once in 128 times. A row is "kept" if both
intervals end at 1.05 or below. It is "open" if neither is shown: repeat it on a quieter machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.table import Table

from benchmarks.comparison.child import limited
from benchmarks.comparison.measuring import LIMITS, PAUSE, THREADS
from benchmarks.comparison.results import machine
from benchmarks.comparison.workload import median
from benchmarks.ratio_rows import TIMES, Row, rows
from tools.artefacts import ROOT, built, commit_of, run
from tools.pins import PINS, index_of_pip, uv_of

#: A row has lost if its interval lies wholly above this ratio.
LIMIT = 1.05
#: The least confidence of an interval that decides.
CONFIDENCE = 0.95
#: Seconds after which a turn is given up.
PATIENCE = 900.0
CHILD = Path(__file__).with_name("ratio_child.py")
Verdict: TypeAlias = Literal["kept", "open", "lost", "too few rounds"]


@dataclass(frozen=True)
class Interval:
    """An interval of the median of ratios, from the `rank`-th least to the `rank`-th greatest."""

    median: float
    low: float
    high: float
    rank: int
    confidence: float

    @property
    def verdict(self) -> Verdict:
        """The verdict that follows from where the interval lies."""
        if self.confidence < CONFIDENCE:
            return "too few rounds"
        if self.low > LIMIT:
            return "lost"
        return "kept" if self.high <= LIMIT else "open"


def confidence_of(n: int, rank: int) -> float:
    """Return the probability that the median lies from `rank`-th least to `rank`-th greatest."""
    return 1 - 2 * sum(comb(n, below) for below in range(rank)) / float(2**n)


def interval_of(ratios: Sequence[float]) -> Interval:
    """Return the shortest interval of `CONFIDENCE`; without one, from least to greatest."""
    n, found = len(ratios), sorted(ratios)
    enough = [j for j in range(1, n // 2 + 1) if confidence_of(n, j) >= CONFIDENCE]
    rank = max(enough, default=1)
    middle = median(tuple(ratios))
    return Interval(middle, found[rank - 1], found[-rank], rank, confidence_of(n, rank))


@dataclass(frozen=True)
class Side:
    """An environment with emdist: its interpreter, Numba's cache, and a description."""

    name: str
    python: Path
    cache: Path | None = None
    told: str = ""


@dataclass(frozen=True)
class Result:
    """The rounds of a row: name of a time -> seconds of each round, for the old and new side.

    The verdict uses the times `judged`.
    """

    name: str
    title: str
    old: dict[str, list[float]] = field(default_factory=dict)
    new: dict[str, list[float]] = field(default_factory=dict)
    judged: tuple[str, ...] = TIMES
    failed: str = ""

    def interval(self, which: str) -> Interval:
        """Return the interval of the ratio new / old of "whole" or "work"."""
        pairs = zip(self.old[which], self.new[which], strict=True)
        return interval_of([new / old for old, new in pairs])

    @property
    def verdict(self) -> Verdict | Literal["failed"]:
        """The verdict: lost if one judged time has lost, kept if all are kept."""
        if self.failed:
            return "failed"
        each = {self.interval(which).verdict for which in self.judged}
        order: tuple[Verdict, ...] = ("too few rounds", "lost", "open", "kept")
        return next(verdict for verdict in order if verdict in each)

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        held = {} if self.failed else {which: self.interval(which) for which in TIMES}
        told = {w: asdict(i) | {"verdict": i.verdict} for w, i in held.items()}
        return asdict(self) | {"ratio": told, "verdict": self.verdict}


class TurnError(Exception):
    """The error of a turn that ended without a time. Its message says why."""


def turn(side: Side, row: Row, files: dict[str, str], folder: Path) -> dict[str, float]:
    """Run the processes of one turn, and return the sum of their seconds by the time's name."""
    total = dict.fromkeys(TIMES, 0.0)
    for _ in range(row.processes):
        with tempfile.TemporaryDirectory(dir=folder, prefix="turn-") as place:
            for which, seconds in _process(side, row, files, Path(place)).items():
                total[which] += seconds
    return total


def _process(side: Side, row: Row, files: dict[str, str], place: Path) -> dict[str, float]:
    job, answer, log = place / "job.json", place / "answer.json", place / "log"
    words = {f"{{{name}}}": path for name, path in files.items()} | {"{scratch}": str(place)}
    text = json.dumps({"work": row.work, "warm": row.warm})
    for word, path in words.items():
        text = text.replace(word, json.dumps(path)[1:-1])
    job.write_text(text)
    # Inherit no settings of this Python: neither its modules nor whether it writes bytecode.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "NUMBA"))}
    own = {"NUMBA_CACHE_DIR": str(side.cache)} if side.cache else {}
    command: list[str | Path] = [side.python, "-P", CHILD, job, answer]
    with log.open("w") as told:
        began = time.perf_counter()
        try:
            done = subprocess.run(
                command, cwd=place, env={**kept, **LIMITS, **own, "PYTHONNOUSERSITE": "1"},
                stdin=subprocess.DEVNULL, stdout=told, stderr=told, timeout=PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TurnError(f"{side.name}: no end within {PATIENCE:.0f} s") from None
        whole = time.perf_counter() - began
    if done.returncode or not answer.exists():
        words_of_it = " ".join(log.read_text(errors="replace").split())[-600:]
        raise TurnError(f"{side.name}: exit code {done.returncode}: {words_of_it or 'no message'}")
    return {"whole": whole, "work": float(json.loads(answer.read_text())["work"])}


def compared(
    row: Row, sides: tuple[Side, Side], rounds: int, folder: Path, tell: Callable[[str], None]
) -> Result:
    """Measure `rounds` rounds of a row; the side that comes first alternates."""
    old, new = sides
    seconds: dict[str, dict[str, list[float]]] = {s.name: {t: [] for t in TIMES} for s in sides}
    try:
        files = row.make(folder / "data")
        for side in sides:
            tell(f"{row.name}: {side.name} warms up")
            turn(side, row, files, folder)
        for at in range(rounds):
            for side in sides if at % 2 == 0 else sides[::-1]:
                time.sleep(PAUSE)
                tell(f"{row.name}: round {at + 1}, {side.name}")
                for which, found in turn(side, row, files, folder).items():
                    seconds[side.name][which].append(found)
    except TurnError as error:
        return Result(row.name, row.title, failed=str(error))
    return Result(row.name, row.title, seconds[old.name], seconds[new.name], row.judged)


def environments(ref: str, folder: Path) -> tuple[Side, Side]:
    """Build and install the old side and the new side."""
    uv, commit = uv_of(folder / "uv"), commit_of(ref)

    def made(name: str, wanted: str | None, told: str) -> Side:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        wheel, python = built(place, Path(sys.executable), wanted), place / "env/bin/python"
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", place / "env", cwd=place)
        run(
            uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python,
            "--constraint", PINS, f"emdist @ {wheel.as_uri()}", cwd=place,
            **index_of_pip(uv.parent / "python"),
        )  # fmt: skip
        run(python, "-I", "-c", _OWN, place / "env", cwd=place)
        return Side(name, python, place / "numba", f"{told}, {wheel.name.split('-')[1]}")

    return made("old", commit, f"{ref} ({commit[:9]})"), made("new", None, "the working tree")


#: Check that emdist is imported from the wheel and from nowhere else.
_OWN = """
import sys, pathlib, emdist
assert pathlib.Path(emdist.__file__).is_relative_to(sys.argv[1]), emdist.__file__
"""


def chosen(every: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """Return rows whose names begin with one of `only`; all if empty; SystemExit if none fits."""
    names = ", ".join(row.name for row in every)
    for word in only:
        if not any(row.name.startswith(word) for row in every):
            raise SystemExit(f"--only {word}: no row begins so; there are {names}.")
    return [row for row in every if not only or row.name.startswith(tuple(only))]


def table(results: Sequence[Result], sides: tuple[Side, Side]) -> Table:
    """Make the table of median seconds, ratios, intervals and verdicts."""
    title = f"new / old. Old: {sides[0].told}. New: {sides[1].told}."
    shown = Table(title=title, caption=_caption(results))
    for heading in ("row", "time", "old", "new", "ratio", "interval", "verdict"):
        shown.add_column(heading, justify="left" if heading in ("row", "verdict") else "right")
    for result in results:
        if result.failed:
            shown.add_row(result.name, "", "", "", "", "", f"[red]failed: {result.failed}")
            continue
        for which in TIMES:
            found = result.interval(which)
            medians = (median(tuple(side[which])) for side in (result.old, result.new))
            cells = [*(f"{seconds:.3g} s" for seconds in medians), f"{found.median:.3f}"]
            verdict: str = found.verdict if which in result.judged else "not judged"
            verdict = f"[red]{verdict}" if verdict == "lost" else verdict
            cells += [f"{found.low:.3f}..{found.high:.3f}", verdict]
            shown.add_row(result.name if which == TIMES[0] else "", which, *cells)
    return shown


def _caption(results: Sequence[Result]) -> str:
    for result in results:
        if not result.failed:
            found, n = result.interval(TIMES[0]), len(result.old[TIMES[0]])
            return (
                f"{n} rounds; the interval reaches from the ratio of rank {found.rank} to that of "
                f"rank {n + 1 - found.rank}, confidence {found.confidence:.1%}"
            )
    return "no row was compared"


def code_of(results: Sequence[Result]) -> int:
    """Return the exit code: 1 if a row has lost, else 2 if one failed, else 0."""
    verdicts = {result.verdict for result in results}
    return 1 if "lost" in verdicts else 2 if "failed" in verdicts else 0


def all_compared(
    these: Sequence[Row],
    sides: tuple[Side, Side],
    rounds: int,
    folder: Path,
    console: Console,
) -> list[Result]:
    """Compare the rows, print the results and write them to results.json."""
    about, results = machine() | {s.name: s.told for s in sides} | {"rounds": rounds}, []
    for row in these:
        with console.status(row.title) as status:
            results.append(compared(row, sides, rounds, folder, status.update))
        console.print(f"{row.name}: {results[-1].verdict}", style="dim", highlight=False)
        # Write after each row: whoever stops a run of half an hour keeps what was measured.
        plain = {"about": about, "limit": LIMIT, "rows": [r.plain() for r in results]}
        (folder / "results.json").write_text(json.dumps(plain, indent=1))
    console.print(table(results, sides))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Build both sides, compare, print; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--old", required=True, help="git reference to compare with")
    parser.add_argument("--rounds", type=int, default=7, help="6 at least for a verdict")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names of rows")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "ratio")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error(f"--rounds is {given.rounds}; it must be 1 or more, and 6 for a verdict")
    these, folder = chosen(rows(), given.only), given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    sides = environments(given.old, folder)
    limited(THREADS)
    results = all_compared(these, sides, given.rounds, folder, console)
    console.print(f"{folder / 'results.json'}", highlight=False, soft_wrap=True)
    return code_of(results)


if __name__ == "__main__":
    raise SystemExit(main())
