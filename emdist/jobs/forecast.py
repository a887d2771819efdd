"""What a fit needs and how long it takes, before it begins: from metadata and a short trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emdist.composition.caching import kept_bytes
from emdist.composition.forecast import Work, forecast
from emdist.composition.make import (
    checked_start,
    in_sequence,
    make_engine,
    make_source,
    make_threads,
    run_location,
)
from emdist.composition.memory import memory_needs
from emdist.composition.recipe import Recipe
from emdist.composition.sweep_config import SweepConfig, recipes_of
from emdist.engines.threads import LocalEngine
from emdist.errors import (
    CollapseError,
    ConfigError,
    DataError,
    EmdistError,
    StartError,
    TooSmallError,
)
from emdist.fit.events import Began, Listener, unheard
from emdist.fit.start import Given
from emdist.interfaces import Engine, Source
from emdist.jobs.origin import find_origin
from emdist.jobs.trial import tried
from emdist.prepare.source import has_known_width, planned
from emdist.settings.config import Config
from emdist.settings.data import NEW_ROWS
from emdist.settings.templates import refuse_templates
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location

#: Seconds that a trial may take, about.
SECONDS = 5.0


def forecast_of(
    config: Config, seconds: float = SECONDS, listen: Listener = unheard
) -> dict[str, Any]:
    """Return what a run of `config` needs and how long it takes, after a trial on its cluster.

    Nothing is stored. What a fit would refuse before it begins is refused as well, but for a lack
    of memory, which is reported.

    Returns
    -------
    dict
        JSON values: those of `emdist.composition.forecast.forecast`, and ``data``, ``cluster``,
        ``memory``, and ``problem``: why the fit would be refused, or None. ``exit_code`` is that of
        the problem, or 0. Without a trial (``seconds`` 0, or a problem), times are missing and
        ``seconds`` is None.

    Raises
    ------
    EmdistError
        What opening the data or the cluster raises.
    """
    config = _readable(config)
    recipes = recipes_of(config)
    source = in_sequence(make_source(config.data), config.data, config.model)
    origin = find_origin(config, run_location(config), source, listen)
    given = checked_start(
        recipes,
        planned(source, config.steps),
        has_known_width(config.steps),
        None if origin is None else origin.given(),
    )
    memory = memory_of(config, recipes, source)
    if (error := memory["error"]) is not None:
        return _without_times(_facts(config, source, memory), error)
    try:
        with make_engine(config.cluster, source, memory["of_worker"]) as engine:
            return forecast_on(engine, config, recipes, source, given, seconds, listen)
    except TooSmallError as error:
        return _without_times(_facts(config, source, memory), error)


def _readable(config: Config) -> Config:
    """Return `config` with data that exist; ConfigError if they do not exist before the run."""
    refuse_templates(config.model_dump(), "emdist flow cluster")
    data = config.data
    target = Location(data.path, data.storage_options)
    if config.ingest is not None and open_folder(target).is_empty():
        raise ConfigError(
            f"{target} does not exist yet, and a fit would ingest {config.ingest.source} first. "
            "A plan ingests nothing: do it before, with `emdist ingest`."
        )
    if data.select_rows == NEW_ROWS:  # How many these are is known when the run begins.
        data = data.model_copy(update={"select_rows": None})
    return config.model_copy(update={"data": data})


def _without_times(facts: dict[str, Any], error: EmdistError | None = None) -> dict[str, Any]:
    """Return a forecast that has no times, for the reason of an error if there is one."""
    problem = {} if error is None else {"problem": str(error), "exit_code": error.exit_code}
    return {**facts, **problem, "seconds": None}


def forecast_on(
    engine: Engine,
    config: Config,
    recipes: Sequence[Recipe],
    source: Source,
    given: Given,
    seconds: float = SECONDS,
    listen: Listener = unheard,
) -> dict[str, Any]:
    """Do what `forecast_of` does, on an `engine` that is there."""
    memory = memory_of(config, recipes, source)
    client = getattr(engine, "client", None)
    cores = _cores(engine, len(source))
    found = _facts(config, source, memory, client, cores)
    if not seconds:
        return _without_times(found)
    listen(Began("trial", f"some blocks of {len(source):,}, for about {seconds:g} s"))
    try:
        trial, iterations = tried(engine, config, recipes, source, given, cores, seconds)
    except (CollapseError, DataError, StartError) as error:
        return _without_times(found, error)
    needed = memory["driver"]["needed"]
    work = Work(
        *source.shape,
        len(source),
        found["data"]["bytes"],
        kept_bytes(config.cluster, source, engine, needed),
        iterations,
        client is not None,
        config.labels.write or not isinstance(config, SweepConfig),
        isinstance(config, SweepConfig),
    )
    return {**found, **forecast(work, trial)}


def memory_of(config: Config, recipes: Sequence[Recipe], source: Source) -> dict[str, Any]:
    """Return the memory that a fit needs: see `memory_needs`."""
    outputs = config.labels.outputs if config.labels.write else ()
    return memory_needs(
        recipes,
        planned(source, config.steps),
        make_threads(config.cluster),
        config.cluster.own_memory,
        outputs,
    )


def _facts(
    config: Config,
    source: Source,
    memory: dict[str, Any],
    client: Any = None,
    cores: int | None = None,
) -> dict[str, Any]:
    """Return what is known without a trial, as JSON values."""
    rows, features = source.shape
    cluster: dict[str, Any] = {"kind": config.cluster.kind, "cores": cores}
    told = {"driver": memory["driver"]}
    if client is not None:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        threads = max((one["nthreads"] for one in workers), default=1)
        limits = [one["memory_limit"] for one in workers if one["memory_limit"]]
        cluster["workers"] = len(workers)
        told["worker"] = {
            "needed": memory["of_worker"](threads) + threads * memory["block"],
            "limit": min(limits, default=None),
        }
    return {
        "data": {
            "path": config.data.path,
            "rows": rows,
            "features": features,
            "blocks": len(source),
            "bytes": rows * features * source.dtype.itemsize,
            "block_bytes": memory["block"],
        },
        "cluster": cluster,
        "memory": told,
        "problem": None,
        "exit_code": 0,
    }


def _cores(engine: Engine, blocks: int) -> int:
    """Return how many blocks are computed at once."""
    if isinstance(engine, LocalEngine):
        return engine.at_work(blocks)
    client = getattr(engine, "client", None)
    if client is None:
        return 1
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return max(1, min(blocks, sum(int(one["nthreads"]) for one in workers)))
