"""Checks that the memory of a process suffices for blocks, samples and models of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from emdist.composition.footprint import Footprint, footprint
from emdist.composition.recipe import Recipe
from emdist.engines.budget import AT_WORST, BASE
from emdist.engines.threads import LocalEngine, available_cpus
from emdist.errors import ConfigError
from emdist.fit.together.lockstep import BUDGET
from emdist.inputs.quoting import shown_size
from emdist.interfaces import Engine, Source
from emdist.runtime.memory import available_memory
from emdist.store.labels.outputs import OUTPUTS, needs_filter, needs_posterior
from emdist.store.sources.plan import longest
from emdist.store.sources.sizes import largest_block
from emdist.wording import either

#: Bytes of a waiting restart besides its arrays: 1,000 of K-means with k = 3 take 110 MB more.
_START = 120_000
#: Bytes that every machine has: how much is free is not looked up for them, which takes 0.1 ms.
_LITTLE = 32 << 20
#: Bytes that the client and the scheduler need for one Dask task.
_TASK = 8_500


@dataclass(frozen=True)
class MemoryBudget:
    """The memory of the process that updates the parameters, and what else it has to hold.

    Attributes
    ----------
    memory
        Bytes that it may take in total; None for what the machine has free.
    threads
        How many threads in it compute blocks; 0 if workers do that.
    block_bytes
        The size of the largest block.
    """

    memory: int | None = None
    threads: int = 0
    block_bytes: int = 0

    @property
    def free(self) -> int:
        """Bytes available for what is not yet allocated."""
        return available_memory() if self.memory is None else self.memory - BASE

    def needed(self, models: Sequence[Footprint], starts: int, blocks: int) -> int:
        """Return the bytes for that many restarts of `models`, which share passes over blocks."""
        # A pass and the update after it never happen at the same time.
        passes = [one.computing(self.threads) + one.bounds if self.threads else 0 for one in models]
        most = max(max(one.driver, made) for one, made in zip(models, passes, strict=True))
        # The others wait with their parameters, and with the sums that one bundle may hold.
        first = models[0]
        waiting = sum(starts * _waiting(one) for one in models) - _waiting(first)
        abreast = min(starts * len(models), available_cpus())
        waiting += (abreast - 1) * max(one.seeding for one in models)
        bundled = min(BUDGET, starts * sum(one.sums for one in models) - first.sums)
        work = self.threads * AT_WORST * self.block_bytes if self.threads else _TASK * blocks
        return int(most + waiting + bundled + work)


@dataclass(frozen=True)
class Needs:
    """The memory that fits need.

    Attributes
    ----------
    here
        The bytes for parameters, sums and blocks in this process.
    of_worker
        Returns the bytes that a worker with so many threads needs besides its blocks.
    """

    here: int
    of_worker: Callable[[int], int]


def _waiting(one: Footprint) -> int:
    """Return the bytes that a fit holds while others are at work."""
    return 3 * one.params + one.records + _START


def checked_memory(
    recipes: Sequence[Recipe],
    source: Source,
    engine: Engine | None,
    memory: int | None = None,
    outputs: Sequence[str] = (),
) -> Needs:
    """Return the memory that fits need, after a check that it is there.

    Parameters
    ----------
    recipes
        The fits, which share their passes.
    source
        The rows of the fits.
    engine
        The engine that runs them; None for workers that do not run yet.
    memory
        Bytes that this process may take; None for what the machine has free.
    outputs
        What is written when rows are labelled.

    Raises
    ------
    ConfigError
        If this process cannot hold the parameters and sums.
    """
    labels = _labels_bytes(source, max(one.k for one in recipes), outputs)
    budget = _budget(source, engine, memory, labels)
    here, found = check_fit(recipes, source, budget), [footprint(one, source) for one in recipes]
    # Bounds of rows are left out: each worker keeps those of its own blocks alone, by default at
    # most 64 MiB in all workers together, and Dask pauses workers well below their limit.
    return Needs(here, lambda count: max(one.computing(count) for one in found) + count * labels)


def memory_needs(
    recipes: Sequence[Recipe],
    source: Source,
    engine: Engine | None,
    memory: int | None = None,
    outputs: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what `checked_memory` finds, and what is wrong with it, instead of an error.

    Returns
    -------
    dict
        ``driver`` with ``needed`` and ``free`` in bytes; ``of_worker`` as in `Needs`; ``block``,
        the bytes of the largest block; ``error``, what `checked_memory` raises, or None.
    """
    labels = _labels_bytes(source, max(one.k for one in recipes), outputs)
    budget = _budget(source, engine, memory, labels)
    found = [footprint(one, source) for one in recipes]
    error = None
    try:
        checked_memory(recipes, source, engine, memory, outputs)
    except ConfigError as raised:
        error = raised
    return {
        "driver": {
            "needed": budget.needed(found, recipes[0].fit.n_init, len(source)),
            "free": max(0, budget.free),
        },
        "of_worker": lambda count: max(one.computing(count) for one in found) + count * labels,
        "block": largest_block(source),
        "error": error,
    }


def _budget(source: Source, engine: Engine | None, memory: int | None, labels: int) -> MemoryBudget:
    """Return the budget of this process, where labels of a block take `labels` bytes more."""
    threads = engine.at_work(len(source)) if isinstance(engine, LocalEngine) else 0
    # A block in progress counts AT_WORST times, and what is made of it counts once.
    return MemoryBudget(memory, threads, largest_block(source) + int(labels / AT_WORST))


def _labels_bytes(source: Source, n_columns: int, outputs: Sequence[str]) -> int:
    """Return the bytes of one block's responsibilities in a thread, if `outputs` need them."""
    # Once as computed, at most in float64, and once as written, in float32.
    made = 8 * needs_posterior(outputs) + 16 * needs_filter(outputs)
    stored = any(OUTPUTS[name].components for name in outputs)
    return longest(source.bounds) * n_columns * (made + (4 if stored else 0)) if made else 0


def check_fit(recipes: Sequence[Recipe], source: Source, budget: MemoryBudget) -> int:
    """Return the bytes that `recipes` need together; ConfigError if `budget` cannot hold them."""
    found = [footprint(one, source) for one in recipes]
    starts, blocks = recipes[0].fit.n_init, len(source)
    needed = budget.needed(found, starts, blocks)
    if needed <= (_LITTLE if budget.memory is None else 0) or needed <= (free := budget.free):
        return needed
    largest = recipes[max(range(len(found)), key=lambda i: found[i].driver)]

    def fits(k: int) -> bool:
        return budget.needed([footprint(largest, source, k)], starts, blocks) <= free

    if starts > 1 and budget.needed(found, 1, blocks) <= free:
        raise ConfigError(
            f"{starts:,} restarts need about {shown_size(needed)} in the process that updates "
            f"the parameters, which may use about {shown_size(max(0, free))}. Ask for fewer "
            "restarts (fit.n_init); a hundred are already many."
        )
    raise ConfigError(
        _refusal(largest, source.shape[1], (needed, free), len(recipes), fits, budget)
    )


def _refusal(
    recipe: Recipe,
    d: int,
    sizes: tuple[int, int],
    models: int,
    fits: Callable[[int], bool],
    budget: MemoryBudget,
) -> str:
    """Return the message for a fit that needs more memory than there is."""
    k, name = recipe.k, recipe.section.name
    what = f"{name} with {k:,} components of {d:,} features"
    what = what if models == 1 else f"{models} models, the largest of them {what},"
    has = "may be used by this process" if budget.memory is not None else "is free on this machine"
    most = _largest(fits, k)
    advice = [f"use at most {most:,} components"] if most else []
    if name.endswith("full"):
        advice.append("use a model with fewer parameters (diagonal, tied)")
    if not most:
        advice.append(f"make blocks {'smaller' if budget.threads else 'larger'} (data.block_size)")
    more = "give more memory"
    more += either("", " (cluster.memory)") if budget.memory is not None else ""
    told = ", or ".join([*advice, more])
    return (
        f"{what} need{'s' if models == 1 else ''} about {shown_size(sizes[0])} in the process "
        f"that updates the parameters, but only about {shown_size(max(0, sizes[1]))} {has}. "
        f"{told[0].upper()}{told[1:]}."
    )


def _largest(fits: Callable[[int], bool], k: int) -> int:
    """Return the largest number of components below `k` that fits, by bisection, or 0."""
    low, high = 0, k
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def check_result(rows: int, columns: int) -> None:
    """Raise ConfigError if memory cannot hold label, score and `columns` numbers for each row."""
    # Factor 2: while parts are joined, they and the whole are in memory.
    needed = rows * 2 * (4 + 8 + 8 * columns)
    if needed > _LITTLE and needed > (free := available_memory()):
        what = f" and {columns} responsibilities" if columns else ""
        raise ConfigError(
            f"One label, one score{what} for each of {rows:,} rows need about "
            f"{shown_size(needed)}, but only about {shown_size(free)} is free on this machine. "
            "Save the model, and write them to disk instead: emdist label MODEL DATA OUT -o "
            f"{'responsibilities' if columns else 'labels'}."
        )
