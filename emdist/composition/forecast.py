"""How long a fit takes, from a trial on some of its blocks: the formulas of docs/scaling.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

#: Seconds of client and scheduler for one Dask task (s in docs/scaling.md).
_TASK = 187e-6


@dataclass(frozen=True)
class Work:
    """What a fit has to do.

    Attributes
    ----------
    rows, features, blocks, nbytes
        The size of the data; `nbytes` are decoded bytes.
    kept
        The bytes of decoded blocks that all processes together keep between passes.
    iterations
        The largest number of iterations.
    tasks
        Whether each block is a task of Dask.
    labels
        Whether a pass labels the rows at the end.
    scores
        Whether a pass scores the models at the end, as a sweep does.
    """

    rows: int
    features: int
    blocks: int
    nbytes: int
    kept: int
    iterations: int
    tasks: bool
    labels: bool
    scores: bool = False

    @property
    def kept_share(self) -> float:
        """The share of the blocks that are read only once."""
        return min(1.0, self.kept / max(1, self.nbytes))


@dataclass(frozen=True)
class Stage:
    """The cost of one stage of a fit, such as an iteration, as a trial measured it.

    Attributes
    ----------
    driver
        Seconds of the process that updates the parameters, outside of passes.
    passes
        The number of passes, each with its fixed time.
    reads
        How often each block is processed.
    block
        Seconds for a block in a pass, divided by how many blocks are processed at once.
    """

    driver: float
    passes: float
    reads: float
    block: float

    def seconds(self, blocks: int, fixed: float, scheduler: float) -> float:
        """Return the time for so many blocks, if a pass takes the scheduler at least that long."""
        return self.driver + self.passes * fixed + self.reads * max(blocks * self.block, scheduler)


@dataclass(frozen=True)
class Trial:
    """What a trial measured, in seconds.

    Attributes
    ----------
    blocks
        How many blocks it used.
    seconds
        How long it took.
    fixed
        The time of a pass that does nothing.
    read
        The time to read and decode a block, divided by how many are read at once.
    again
        The time of a block of an iteration that finds it in memory, divided likewise.
    survey, seeding, iteration, label
        The stages of a fit.
    """

    blocks: int
    seconds: float
    fixed: float
    read: float
    again: float
    survey: Stage
    seeding: Stage
    iteration: Stage
    label: Stage


def forecast(work: Work, trial: Trial) -> dict[str, Any]:
    """Return how long the stages of a fit take, and how much it reads, as JSON values.

    ``seconds`` has ``survey``, ``seeding``, ``iteration``, ``score`` (of the models of a sweep),
    ``label`` and ``all``, with the largest number of iterations. ``limit`` is what limits an
    iteration: ``reading``, ``computing``, ``driver`` or ``scheduler``. ``reads`` has the decoded
    bytes of an iteration, and of all iterations and stages at most.
    """
    share, blocks = work.kept_share, work.blocks
    each = share * trial.again + (1 - share) * trial.iteration.block
    step = replace(trial.iteration, block=each)
    scheduler = _TASK * (blocks + blocks // 7 + 1) if work.tasks else 0.0
    spent = (blocks, trial.fixed, scheduler)
    seconds = {
        "survey": trial.survey.seconds(*spent),
        "seeding": trial.seeding.seconds(*spent),
        "iteration": (iteration := step.seconds(*spent)),
        "score": iteration if work.scores else 0.0,
        "label": trial.label.seconds(*spent) if work.labels else 0.0,
    }
    seconds["all"] = total(seconds, work.iterations)
    reading = min(each, (1 - share) * trial.read)
    parts = {
        "reading": step.reads * blocks * reading,
        "computing": step.reads * blocks * (each - reading),
        "driver": step.driver,
        "scheduler": step.reads * scheduler if scheduler > blocks * each else 0.0,
    }
    once = round(work.nbytes * (1 - share))
    again = work.iterations * step.reads + trial.seeding.reads + work.scores + work.labels
    return {
        "seconds": seconds,
        "iterations": work.iterations,
        "limit": max(parts, key=lambda name: parts[name]),
        "kept_share": share,
        "reads": {
            "iteration": round(step.reads * once),
            "all": work.nbytes + round(once * again),
        },
        "trial": {"blocks": trial.blocks, "seconds": trial.seconds},
    }


def total(seconds: dict[str, float], iterations: int) -> float:
    """Return the time of a fit with so many iterations."""
    once = sum(seconds[name] for name in ("survey", "seeding", "score", "label"))
    return once + iterations * seconds["iteration"]


def compared(
    found: dict[str, Any], spent: dict[str, float], iterations: int
) -> dict[str, dict[str, float]]:
    """Return what was predicted and how long it took, by stage, for so many iterations.

    The stages are those of a run: ``survey``, ``fit`` (with seeding), ``score`` of a sweep,
    ``label`` and ``all``.
    """
    told = found["seconds"]
    predicted = {
        "survey": told["survey"],
        "fit": told["seeding"] + iterations * told["iteration"],
        "score": told["score"],
        "label": told["label"],
    }
    stages = [name for name in predicted if name in spent]
    figures = {name: {"predicted": predicted[name], "actual": spent[name]} for name in stages}
    figures["all"] = {
        which: sum(figures[name][which] for name in stages) for which in ("predicted", "actual")
    }
    return figures
