"""What is compared: workloads, the contenders of each, and what a turn of one tells."""

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

#: Pairs of fits until the longer one takes longer, on a machine that others use too.
_TRIES = 5


class Absent(Exception):  # noqa: N818 - no error: the contender takes no part, and says why
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    Attributes
    ----------
    module
        In `benchmarks.comparison.contenders`.
    title
        In the table.
    options
        For its task, over those of the workload.
    task
        Function of the module; None for the workload's.
    at_least
        Wanted of this one's median over emdist's; None where nothing is.
    agrees
        Whether its figures are those that emdist's must agree with.
    """

    module: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    at_least: float | None = None
    agrees: bool = True


@dataclass(frozen=True)
class Workload:
    """One row of the comparison, or a few: emdist beside each rival.

    Attributes
    ----------
    name
        On the command line (``--only``).
    title
        In the table, with the sizes.
    group
        "peers" or "limits": the table that its rows stand in.
    task
        Function that every contender's module has.
    make
        Writes the data into a folder and returns its files by name; made once, read by all.
    rivals
        Held against `ours`.
    ours
        emdist.
    options
        For every contender.
    tolerances
        Relative, by figure: emdist's may differ so much from a rival's.
    budget
        Peak resident memory that emdist may take: bytes; None where it is not stated.
    unit
        What a turn measures: seconds, or passes over the data.
    cold
        Whether the data is put out of the page cache before every turn.
    repeats
        Rounds, where fewer than the size's are enough because nothing varies.
    note
        For the table.
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
        """emdist first."""
        return (self.ours, *self.rivals)


@dataclass(frozen=True)
class Outcome:
    """What one turn of a contender tells.

    Attributes
    ----------
    value
        Seconds or passes.
    figures
        Results to hold against the others', and to show.
    labels
        (n,) of all rows, if they are to be held against the others'.
    peak
        Peak resident bytes of all processes; None for those of this one.
    """

    value: float
    figures: Mapping[str, float] = field(default_factory=dict)
    labels: Array | None = None
    peak: int | None = None


Turn: TypeAlias = Callable[[], Outcome]


@dataclass(frozen=True)
class Work:
    """What a contender is given in its process: files, options, a folder, and what to close."""

    files: Mapping[str, Path]
    options: Mapping[str, Any]
    scratch: Path
    stack: ExitStack

    def array(self, name: str) -> Array:
        """The whole of a file in memory of this process, so that all pay alike for reading it."""
        found: Array = np.load(self.files[name])
        return found

    def start(self) -> Array:
        """(k, d) where all contenders begin, in the type of the data."""
        return self.array("start")

    @property
    def short(self) -> int:
        """Iterations of the shorter of two fits."""
        return 1

    @property
    def span(self) -> int:
        """Iterations that the longer fit has more."""
        return int(self.options.get("span", 1))


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Wall seconds of a call, and what it returned."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def per_iteration(work: Work, fit: Callable[[int], T]) -> tuple[float, T]:
    """Seconds of one iteration, and the longer of two fits whose difference that is.

    What a fit does once (checks, a survey, labels, the final inertia) cancels: it is in both.
    """
    for _ in range(_TRIES):
        short, _ = timed(lambda: fit(work.short))
        long, fitted = timed(lambda: fit(work.short + work.span))
        if long > short:
            return (long - short) / work.span, fitted
    # Fits that take no time, whose difference is noise.
    return long / (work.short + work.span), fitted


def median(values: tuple[float, ...]) -> float:
    """Median, or NaN of nothing."""
    return float(np.median(values)) if values else math.nan
