"""The parts of a comparison: workloads, their contenders, and the outcome of a turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from emdist.interfaces import Array

MIB = 1 << 20
T = TypeVar("T")

#: Attempts at two fits of which the longer one must take longer: other processes may disturb.
_TRIES = 5


class Absent(Exception):  # noqa: N818 - not an error: the contender takes no part, and says why
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    Attributes
    ----------
    module
        Module in `benchmarks.comparison.contenders`.
    title
        Title in the table.
    options
        Options of its task, which override those of the workload.
    task
        Function of the module; None for the task of the workload.
    at_least
        Target of this contender's median over emdist's; None for no target.
    agrees
        Whether emdist's figures must agree with those of this contender.
    """

    module: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    at_least: float | None = None
    agrees: bool = True


@dataclass(frozen=True)
class Workload:
    """A task and its data, on which emdist is compared with each rival.

    Attributes
    ----------
    name
        Name on the command line (``--only``).
    title
        Title in the table, with the sizes.
    group
        The table that shows its rows: "peers" or "limits".
    task
        Name of the function that every contender's module has.
    make
        Function that writes the data into a folder and returns its files by name. It is called
        once, and all contenders read the files.
    rivals
        The contenders that emdist is compared with.
    ours
        The contender that stands for emdist.
    options
        Options for every contender.
    tolerances
        Name of a figure -> relative difference that is allowed between emdist's and a rival's.
    budget
        Peak resident bytes that emdist may use; None for no limit.
    unit
        What a turn measures: seconds, or passes over the data.
    cold
        Whether the data are evicted from the page cache before every turn.
    repeats
        Number of rounds if fewer than those of the size are enough, because nothing varies.
    note
        Note for the table.
    """

    name: str
    title: str
    group: Literal["peers", "limits"]
    task: str
    make: Callable[[Path], Mapping[str, Path]]
    rivals: tuple[Contender, ...]
    ours: Contender = Contender("emdist", "emdist")
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    budget: int | None = None
    unit: Literal["s", "passes"] = "s"
    cold: bool = False
    repeats: int | None = None
    note: str = ""

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """All contenders, emdist first."""
        return (self.ours, *self.rivals)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one turn of a contender.

    Attributes
    ----------
    value
        Seconds or passes.
    figures
        Results to compare with those of others, and to show.
    labels
        (n,) labels of all rows, if they are to be compared with those of others.
    peak
        Peak resident bytes of all processes; None for those of the contender's process.
    """

    value: float
    figures: Mapping[str, float] = field(default_factory=dict)
    labels: Array | None = None
    peak: int | None = None


Turn: TypeAlias = Callable[[], Outcome]


@dataclass(frozen=True)
class Work:
    """What a contender gets in its process: files, options, a scratch folder, and a stack."""

    files: Mapping[str, Path]
    options: Mapping[str, Any]
    scratch: Path
    stack: ExitStack

    def array(self, name: str) -> Array:
        """Read a whole file into memory of this process, so that reading costs all the same."""
        found: Array = np.load(self.files[name])
        return found

    def start(self) -> Array:
        """Return the (k, d) starting centres of all contenders, in the data type of the rows."""
        return self.array("start")

    @property
    def short(self) -> int:
        """Number of iterations of the shorter of two fits."""
        return 1

    @property
    def span(self) -> int:
        """Number of iterations that the longer fit makes in addition."""
        return int(self.options.get("span", 1))


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Call `call`; return its wall seconds and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def per_iteration(work: Work, fit: Callable[[int], T]) -> tuple[float, T]:
    """Measure the seconds of an iteration as the difference of two fits; return the longer fit.

    What a fit does once (checks, survey, labels, final inertia) cancels, because both fits do it.
    """
    for _ in range(_TRIES):
        short, _ = timed(lambda: fit(work.short))
        long, fitted = timed(lambda: fit(work.short + work.span))
        if long > short:
            return (long - short) / work.span, fitted
    # The fits take so little time that their difference is only noise.
    return long / (work.short + work.span), fitted


def median(values: tuple[float, ...]) -> float:
    """Return the median; NaN without values."""
    return float(np.median(values)) if values else math.nan
