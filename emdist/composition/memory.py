"""Memory of a fit: what its parameters, sums and checkpoints need, held against what there is.

The formulas are those of ``docs/scaling.md``. They count numbers of a model without making any, so
that a model that does not fit is refused before anything of its size is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emdist.composition.model import CENTRES, make_family, make_kmedians
from emdist.engines.budget import AT_WORST, BASE, available_memory
from emdist.errors import ConfigError
from emdist.families.product import Product
from emdist.families.products.groups import check_features
from emdist.fit.groups import DEFAULT
from emdist.fit.together.lockstep import BUDGET
from emdist.interfaces import Source
from emdist.kernels.tiles.tiles import tile_rows
from emdist.settings.config import FitSection, ModelSection
from emdist.wording import either

#: How often the driver holds parameters at its worst moment, the M-step and the objective's terms:
#: parameters before and after, the best start's, their factors, inverses and copies.
_DRIVER_PARAMS = 10
#: How often the driver holds sums at once: eight that are joined, and three made of them.
_DRIVER_SUMS = 11
#: How often a process that computes blocks holds parameters: as they came, and made ready.
_WORKER_PARAMS = 5
#: Sums that a process holds: of joins, and of each thread.
_WORKER_SUMS, _THREAD_SUMS = 8, 2
#: What a row of the sample takes: as stored, and as float64 while seeds are chosen.
_SAMPLE_COPIES = 3
#: Of a start that waits, beside its arrays: 110 MB more for 1,000 starts of K-means, k = 3.
_START = 120_000
#: Memory of client and scheduler for a Dask task, in bytes.
_TASK = 8_500


@dataclass(frozen=True)
class Footprint:
    """What one model needs besides blocks, in bytes.

    Attributes
    ----------
    params
        Of all components once, in float64.
    sums
        Of a pass: the sufficient statistics of all components, in float64.
    tile
        Of the rows that one thread works on at a time.
    sample
        Of the rows held for seeding.
    records
        Of what a schedule remembers in the driver and in checkpoints.
    """

    params: int
    sums: int
    tile: int
    sample: int = 0
    records: int = 0

    @property
    def driver(self) -> int:
        """At the driver's worst moment, without blocks and imports."""
        return (
            _DRIVER_PARAMS * self.params
            + _DRIVER_SUMS * self.sums
            + self.records
            + _SAMPLE_COPIES * self.sample
        )

    def computing(self, threads: int) -> int:
        """In a process whose `threads` turn blocks into sums, without blocks and imports."""
        sums = (_WORKER_SUMS + _THREAD_SUMS * threads) * self.sums
        return _WORKER_PARAMS * self.params + sums + threads * self.tile


def footprint(model: ModelSection, fit: FitSection, source: Source, sample: int = 0) -> Footprint:
    """What a fit of `model` to `source` needs.

    Parameters
    ----------
    model, fit
        As configured.
    source
        Its shape and type are looked at; nothing is read.
    sample
        Rows held for seeding.
    """
    return _footprint(model, model.n_components, fit, source, sample)


def _footprint(
    model: ModelSection, k: int, fit: FitSection, source: Source, sample: int
) -> Footprint:
    d = source.shape[1]
    params, sums, width = numbers(model, k, d)
    columns = width + d + 2 * k
    itemsize = 4 if source.dtype.itemsize <= 4 else 8
    rows = min(tile_rows(columns, itemsize), source.shape[0])
    return Footprint(
        8 * params,
        8 * sums,
        rows * columns * itemsize,
        sample * d * (source.dtype.itemsize + 8),
        _records(fit, source) * 8 * sums,
    )


def numbers(model: ModelSection, k: int, d: int) -> tuple[int, int, int]:
    """How many numbers `k` components of `d` features are.

    Returns
    -------
    Numbers of the parameters, of the sums, and of the sufficient statistics of one row.
    """
    if model.name == "kmedians":
        # Weight, least and greatest value of every bin; centre, bracket and reach of every cell.
        return 5 * k * d, 3 * k * d * make_kmedians(model).bins, 0
    if model.name in CENTRES:
        square = d * d if model.dissimilarity == "mahalanobis" else 0
        return k * d + square, k * (d + 1), 0
    family = make_family(model)
    if isinstance(family, Product):
        check_features(family.groups, family.ignored, family.n_features, d)
    free = family.free_parameters(k, d)
    each = family.free_parameters(k + 1, d) - free
    # A covariance matrix is stored whole; its sums, and free parameters, are one triangle of it.
    triangle = d * (d + 1) // 2 if d > 1 else free + 1
    matrices = k if each >= triangle else int(free - k * each >= triangle)
    return free + matrices * d * d // 2, free + k, each


def _records(fit: FitSection, source: Source) -> int:
    """Sums that a schedule keeps between passes."""
    if fit.schedule != "incremental":
        return 0
    groups = fit.schedule_options.get("groups")
    wanted = groups if isinstance(groups, int) else DEFAULT
    return max(1, min(len(source), wanted))


@dataclass(frozen=True)
class Room:
    """The process that updates the parameters, and what else it does.

    Attributes
    ----------
    memory
        Bytes that it may take in all; None for what the machine has free.
    threads
        That compute blocks in it; 0 where workers do.
    block_bytes
        Of the largest block.
    """

    memory: int | None = None
    threads: int = 0
    block_bytes: int = 0

    @property
    def free(self) -> int:
        """Bytes for what is not there yet."""
        return available_memory() if self.memory is None else self.memory - BASE

    def needed(self, models: Sequence[Footprint], fit: FitSection, blocks: int) -> int:
        """Bytes for fits of `models` that share their passes over `blocks` blocks."""
        # A pass and the update after it are not made at the same time.
        passes = [one.computing(self.threads) if self.threads else 0 for one in models]
        most = max(max(one.driver, made) for one, made in zip(models, passes, strict=True))
        # The others wait with their parameters, and with the sums that one bundle may hold.
        first, starts = models[0], fit.n_init
        waiting = sum(starts * _waiting(one) for one in models) - _waiting(first)
        bundled = min(BUDGET, starts * sum(one.sums for one in models) - first.sums)
        work = self.threads * AT_WORST * self.block_bytes if self.threads else _TASK * blocks
        return int(most + waiting + bundled + work)


def _waiting(one: Footprint) -> int:
    """Bytes of a fit while others are at work."""
    return 3 * one.params + one.records + _START


def check_fit(
    models: Sequence[ModelSection], fit: FitSection, source: Source, sample: int, room: Room
) -> None:
    """ConfigError if `room` cannot hold what fits of `models` need, before anything is made.

    Parameters
    ----------
    models
        Fitted in the same passes: one, or those of a sweep.
    fit, source, sample
        As in `footprint`.
    room
        Of the process that updates the parameters.
    """
    found = [footprint(one, fit, source, sample) for one in models]
    needed, free = room.needed(found, fit, len(source)), room.free
    if needed <= free:
        return
    largest = models[max(range(len(found)), key=lambda i: found[i].driver)]

    def fits(k: int) -> bool:
        one = _footprint(largest, k, fit, source, min(sample, 4 * k))
        return room.needed([one], fit, len(source)) <= free

    if (
        fit.n_init > 1
        and room.needed(found, fit.model_copy(update={"n_init": 1}), len(source)) <= free
    ):
        raise ConfigError(
            f"{fit.n_init:,} starts need about {shown_size(needed)} in the process that updates "
            f"the parameters, and it may take about {shown_size(max(0, free))}. Ask for fewer "
            "(fit.n_init): a hundred are many."
        )
    raise ConfigError(_refusal(largest, source, (needed, free), len(models), fits, room))


def _refusal(
    model: ModelSection,
    source: Source,
    sizes: tuple[int, int],
    models: int,
    fits: Callable[[int], bool],
    room: Room,
) -> str:
    k, d = model.n_components, source.shape[1]
    what = f"{model.name} with {k:,} components of {d:,} features"
    what = what if models == 1 else f"{models} models, the largest of them {what},"
    has = "this process may take" if room.memory is not None else "this machine has free"
    most = _largest(fits, k)
    advice = [f"ask for at most {most:,} components"] if most else []
    if model.name.endswith("full"):
        advice.append("take a model with fewer parameters (diagonal, tied)")
    if not most:
        advice.append(f"make blocks {'smaller' if room.threads else 'larger'} (data.block_size)")
    more = "give more memory"
    more += either("", " (cluster.memory)") if room.memory is not None else ""
    told = ", or ".join([*advice, more])
    return (
        f"{what} need{'s' if models == 1 else ''} about {shown_size(sizes[0])} in the process that "
        f"updates the parameters, and {has} about {shown_size(max(0, sizes[1]))}. "
        f"{told[0].upper()}{told[1:]}."
    )


def _largest(fits: Callable[[int], bool], k: int) -> int:
    """The largest number of components below `k` that fits, by bisection; 0 if none does."""
    low, high = 0, k
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def check_result(rows: int, columns: int) -> None:
    """ConfigError if memory cannot hold a label, a score and `columns` numbers for each row."""
    # Parts are joined into a whole that is as large as they are.
    needed, free = rows * 2 * (4 + 8 + 8 * columns), available_memory()
    if needed > free:
        what = f" and {columns} responsibilities" if columns else ""
        raise ConfigError(
            f"One label, one score{what} for each of {rows:,} rows need about "
            f"{shown_size(needed)}, and this machine has free about {shown_size(free)}. Save the "
            "model, and write them to disk instead: emdist label MODEL DATA OUT -o "
            f"{'responsibilities' if columns else 'labels'}."
        )


def shown_size(nbytes: float) -> str:
    """Bytes as people read them: MiB, or GiB with one digit."""
    return f"{nbytes / 2**30:,.1f} GiB" if nbytes >= 2**30 else f"{-(-int(nbytes) >> 20)} MiB"
