"""Room in memory: blocks, samples and models of a configuration, held against what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emdist.composition.memory import Room, check_fit, footprint
from emdist.composition.recipe import Recipe
from emdist.engines.budget import AT_WORST, Smallest
from emdist.engines.threads import LocalEngine, available_cpus
from emdist.inputs.validation import checked_options, parse_bytes
from emdist.interfaces import Engine, Source
from emdist.settings.config import ClusterSection, FitSection
from emdist.store.chunks.layout import unit_rows
from emdist.store.sources.plan import ROW_BYTES, longest
from emdist.store.sources.references import open_checked
from emdist.store.sources.zarr_source import ZarrSource

#: Rows held for seeding: at least so many, and so many for each component ...
_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT = 16384, 64
#: ... but no more than fit in so many bytes.
_SAMPLE_BYTES = 16 << 20


def largest_block(source: Source) -> int:
    """Decoded bytes of the largest block, narrow rows counted as the plan counts them."""
    rows = longest(source.bounds)
    return rows * max(source.shape[1] * source.dtype.itemsize, ROW_BYTES)


def smallest_block(source: Source) -> Smallest | None:
    """The block of one chunk, where blocks are made of chunks; else None."""
    if not isinstance(source, ZarrSource):
        return None
    rows = min(unit_rows(open_checked(source.ref)), source.shape[0])
    row_bytes = source.shape[1] * source.dtype.itemsize
    return Smallest(str(source.ref), rows * max(row_bytes, ROW_BYTES), max(row_bytes, ROW_BYTES))


def sample_size(source: Source, k: int, fit: FitSection) -> int:
    """Rows held for seeding: enough for `k` components, and of bounded size."""
    row_bytes = source.shape[1] * source.dtype.itemsize
    default = max(_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT * k)
    default = max(min(default, _SAMPLE_BYTES // row_bytes), 4 * k)
    return max(fit.sample_rows or default, k)


def check_room(
    recipes: Sequence[Recipe],
    source: Source,
    engine: Engine | None = None,
    cluster: ClusterSection | None = None,
    outputs: Sequence[str] = (),
) -> Callable[[int], int]:
    """What a worker of so many threads needs for `recipes` besides its blocks, in bytes.

    Parameters
    ----------
    recipes
        Fitted in the same passes.
    source
        Their rows.
    engine, cluster
        Where it runs: an engine, or the configuration of one.
    outputs
        That are written when rows are labelled.

    Raises
    ------
    ConfigError
        If this process cannot hold the parameters and sums.
    """
    stated, threads = None, 0
    if cluster is not None and cluster.kind == "threads":
        engine = checked_options(LocalEngine, cluster.options, "cluster")
        stated = None if cluster.memory is None else parse_bytes(cluster.memory)
    if isinstance(engine, LocalEngine):
        threads = min(engine.threads or available_cpus(), len(source))
    models, fit = [one.section for one in recipes], recipes[0].fit
    sample = max(min(sample_size(source, one.k, fit), source.shape[0]) for one in recipes)
    most = max(one.k for one in recipes)
    labels = labels_bytes(source, most, outputs)
    # A block at work counts AT_WORST times, and what is made of it once.
    block = largest_block(source) + int(labels / AT_WORST)
    check_fit(models, fit, source, sample, Room(stated, threads, block))
    found = [footprint(one, fit, source) for one in models]
    return lambda count: max(one.computing(count) for one in found) + count * labels


def labels_bytes(source: Source, n_columns: int, outputs: Sequence[str]) -> int:
    """What a thread holds of one block's responsibilities, if they are among `outputs`."""
    if "responsibilities" not in outputs:
        return 0
    rows = longest(source.bounds)
    # As computed, in float64 at most, and as written, in float32.
    return rows * n_columns * (8 + 4)
