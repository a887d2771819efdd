"""How much memory the parameters, sums and checkpoints of a fit take.

The formulas are those of ``docs/scaling.md``. They count the numbers of a model without making one,
so that a model that is too large is refused before anything of its size is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emdist.composition.model import CENTRES
from emdist.composition.recipe import Recipe
from emdist.fit.block_groups import DEFAULT
from emdist.fit.schedules.auto import Auto
from emdist.fit.schedules.pruned import MEMO_BYTES
from emdist.fit.seeding import scalable, seeding_bytes
from emdist.interfaces import Source
from emdist.kernels.tiles.tiles import tile_rows
from emdist.models.kmedians import KMediansModel
from emdist.settings.config import FitSection

#: How many copies of the parameters the driver holds at its peak, in the M-step and the terms of
#: the objective: before and after, those of the best restart, factors, inverses and copies.
_DRIVER_PARAMS = 10
#: How many copies of the parameters the driver holds while it chooses seeds.
_SEEDING_PARAMS = 3
#: How many copies of the sums the driver holds at its peak: eight to join, and three made of them.
_DRIVER_SUMS = 11
#: How many copies of the parameters a process that computes blocks holds: received, and prepared.
_WORKER_PARAMS = 5
#: How many copies of the sums such a process holds: for joins, and for each thread.
_WORKER_SUMS, _THREAD_SUMS = 8, 2
#: How many copies of the sample the driver holds: as stored, and as float64 for the seeder.
_SAMPLE_COPIES = 3
#: The smallest sample in rows, or in rows for each component if that is more ...
_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT = 16384, 64
#: ... but no more rows than fit into this many bytes.
_SAMPLE_BYTES = 16 << 20


@dataclass(frozen=True)
class Footprint:
    """How much memory one model needs besides blocks, in bytes.

    Attributes
    ----------
    params
        One copy of the parameters of all components, in float64.
    sums
        The sums of a pass: the sufficient statistics of all components, in float64.
    tile
        The rows that one thread works on at a time.
    sample
        The rows that are kept to choose starting values.
    records
        What a schedule remembers in the driver and in checkpoints.
    seeding
        What a seeder holds in the driver besides the sample.
    memo
        What a seeder remembers of rows in each process that computes blocks.
    bounds
        The bounds of all rows that the schedule `auto` keeps for K-means. Workers share them.
    """

    params: int
    sums: int
    tile: int
    sample: int = 0
    records: int = 0
    seeding: int = 0
    memo: int = 0
    bounds: int = 0

    @property
    def driver(self) -> int:
        """The largest memory of the driver in bytes, without blocks and imported modules."""
        updating = _DRIVER_PARAMS * self.params + _DRIVER_SUMS * self.sums
        # Seeds are chosen between iterations, beside the parameters of earlier restarts.
        choosing = _SEEDING_PARAMS * self.params + self.seeding
        return max(updating, choosing) + self.records + _SAMPLE_COPIES * self.sample

    def computing(self, threads: int) -> int:
        """Return the memory of a process that computes blocks on `threads` threads, in bytes.

        Blocks and imported modules are not included.
        """
        sums = (_WORKER_SUMS + _THREAD_SUMS * threads) * self.sums
        return _WORKER_PARAMS * self.params + sums + threads * self.tile + self.memo


def footprint(recipe: Recipe, source: Source, k: int | None = None) -> Footprint:
    """Return how much memory a fit needs.

    Parameters
    ----------
    recipe
        The fit.
    source
        The data, of which only shape and type are used; nothing is read.
    k
        The number of components, if it differs from that of the recipe.
    """
    fit, k, d = recipe.fit, k or recipe.k, source.shape[1]
    params, sums, width = numbers(recipe, k, d)
    columns = width + d + 2 * k
    itemsize = 4 if source.dtype.itemsize <= 4 else 8
    rows = min(tile_rows(columns, itemsize), source.shape[0])
    sample = min(sample_size(source, k, fit), source.shape[0])
    memo = kept = 0
    if fit.init == scalable.name:
        # Its last pass sums the rows of each candidate.
        sums = max(sums, scalable.candidates_of(k) * (d + 1))
        memo = scalable.memo_bytes(source.shape[0])
    if isinstance(schedule := recipe.schedule, Auto):
        bounds = schedule.bytes_of(recipe.model, k, source)
        kept = min(MEMO_BYTES, fit.n_init * bounds) if bounds <= schedule.memo_bytes else 0
    return Footprint(
        8 * params,
        8 * sums,
        rows * columns * itemsize,
        sample * d * (source.dtype.itemsize + 8),
        _records(fit, source) * 8 * sums,
        seeding_bytes(sample, source.shape[0], k, d),
        memo,
        kept,
    )


def sample_size(source: Source, k: int, fit: FitSection) -> int:
    """Return the number of rows in the sample: enough for `k` components, and bounded in size."""
    row_bytes = source.shape[1] * source.dtype.itemsize
    default = max(_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT * k)
    default = max(min(default, _SAMPLE_BYTES // row_bytes), 4 * k)
    return max(fit.sample_rows or default, k)


def numbers(recipe: Recipe, k: int, d: int) -> tuple[int, int, int]:
    """Return how many numbers make up `k` components of `d` features.

    Returns
    -------
    The number of values in the parameters, in the sums, and in the sufficient statistics of one
    row.
    """
    model, components = recipe.section, recipe.components
    if isinstance(components, KMediansModel):
        # For each cluster and feature, the parameters hold the centre, its bracket and `reach`
        # (see `Brackets`). The sums hold the weight and the extremes of each of its bins.
        return 5 * k * d, 3 * k * d * components.bins, 0
    if model.name in CENTRES:
        square = d * d if model.dissimilarity == "mahalanobis" else 0
        return k * d + square, k * (d + 1), 0
    family: Any = components
    free: int = family.free_parameters(k, d)
    each: int = family.free_parameters(k + 1, d) - free
    # A covariance matrix is stored whole; its sums and free parameters are only one triangle.
    triangle = d * (d + 1) // 2 if d > 1 else free + 1
    matrices = k if each >= triangle else int(free - k * each >= triangle)
    return free + matrices * d * d // 2, free + k, each


def _records(fit: FitSection, source: Source) -> int:
    """Return how many copies of the sums a schedule keeps between passes."""
    if fit.schedule != "incremental":
        return 0
    groups = fit.schedule_options.get("groups")
    wanted = groups if isinstance(groups, int) else DEFAULT
    return max(1, min(len(source), wanted))
