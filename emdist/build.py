"""The composition root: from a configuration to the objects that do the work."""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from emdist.config import (
    CLUSTERS,
    FAMILIES,
    SEEDERS,
    ClusterSection,
    Config,
    DataSection,
    FitSection,
    ModelSection,
)
from emdist.engines.local import LocalEngine
from emdist.errors import CheckpointError, ConfigError, NotFoundError, StartError
from emdist.families.isotropic import Isotropic
from emdist.fit.domain import check_spread
from emdist.fit.events import Listener, unheard
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted
from emdist.fit.run import Cadence, Plan, Run
from emdist.fit.start import Given
from emdist.fit.stop import Stop
from emdist.fit.survey import Survey, SurveyTask
from emdist.interfaces import Engine, Family, Model, Source
from emdist.models.assignments import ASSIGNMENTS
from emdist.models.kmeans import KMeans
from emdist.models.mixture import Mixture, MixtureParams
from emdist.plugins import plugin
from emdist.store.checkpoints import RunFolder
from emdist.store.codec import decode, encode
from emdist.store.location import Location
from emdist.store.model_files import read_model, save_model
from emdist.store.plan import ROW_BYTES
from emdist.store.run_record import digest
from emdist.store.zarr_source import ArrayRef, zarr_source
from emdist.validation import checked_options

#: Packages whose versions are recorded with every run and model.
_RECORDED = ("emdist", "numpy", "numba", "zarr", "dask", "distributed", "safetensors")

#: Rows held for seeding: at least so many, and so many for each component ...
_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT = 16384, 64
#: ... but no more than fit in so many bytes.
_SAMPLE_BYTES = 16 << 20


def make_family(section: ModelSection) -> Family[Any]:
    """The family that a model is made of, with its options checked."""
    if section.name == "kmeans":
        return kmeans(section).mixture.family
    cls = plugin(FAMILIES, "family", section.name)
    family: Family[Any] = checked_options(cls, section.options, "model.options")
    return family


def make_model(section: ModelSection) -> Model[Any]:
    """K-means, or a mixture of the family named; of incomplete rows if the section says so."""
    model = kmeans(section) if section.name == "kmeans" else make_mixture(section)
    return model.with_missing() if section.missing else model


def make_mixture(section: ModelSection) -> Mixture[Any]:
    """A mixture of the family named, of complete rows."""
    return Mixture(
        make_family(section),
        ASSIGNMENTS[section.assignment],
        section.uniform_weights,
        section.precision,
        section.min_weight,
    )


def kmeans(section: ModelSection) -> KMeans:
    """K-means with the precision of `section`; any option is refused, it has none."""
    if section.options:
        raise ConfigError(
            f"model.options {sorted(section.options)}: kmeans has none. Remove them, or name a "
            "family (full, tied, diagonal, spherical)."
        )
    return KMeans(Mixture(Isotropic(), ASSIGNMENTS["hard"], True, section.precision))


def make_source(section: DataSection) -> Source:
    """The Zarr array of a configuration, checked as far as its metadata allows."""
    ref = ArrayRef(Location(section.path, section.storage_options), section.array)
    weight = None
    if section.weights is not None:
        weight = ArrayRef(Location(section.weights, section.storage_options))
    return zarr_source(ref, weight, section.block_bytes, section.missing_chunks, section.non_finite)


@contextmanager
def make_engine(section: ClusterSection, source: Source) -> Iterator[Engine]:
    """The engine of a configuration; a cluster that it starts is closed at the end.

    Raises
    ------
    EngineError
        If the cluster cannot be had, or its workers cannot hold the blocks of `source`.
    """
    if section.kind == "threads":
        yield checked_options(LocalEngine, section.options, "cluster")
        return
    from emdist.engines.dask import DaskEngine
    from emdist.engines.memory import check_memory

    cluster = checked_options(plugin(CLUSTERS, "cluster", section.kind), section.options, "cluster")
    with cluster.open() as client:
        check_memory(client, largest_block(source))
        yield DaskEngine(client, stall_timeout=section.stall_timeout)


def largest_block(source: Source) -> int:
    """Decoded bytes of the largest block, narrow rows counted as the plan counts them."""
    rows = max(b - a for a, b in itertools.pairwise(source.bounds))
    return rows * max(source.shape[1] * source.dtype.itemsize, ROW_BYTES)


def make_survey(source: Source, model: ModelSection, fit: FitSection) -> SurveyTask:
    """The survey's task, with a sample that is large enough to seed from and fits in memory."""
    k = model.n_components
    row_bytes = source.shape[1] * source.dtype.itemsize
    default = max(_SAMPLE_ROWS, _SAMPLE_PER_COMPONENT * k)
    default = max(min(default, _SAMPLE_BYTES // row_bytes), 4 * k)
    size = max(fit.sample_rows or default, k)
    return SurveyTask(source, k, size, fit.seed, make_family(model).shifted, model.missing)


def make_fit(
    model_section: ModelSection,
    section: FitSection,
    source: Source,
    engine: Engine,
    survey: Survey,
    given: Given | None = None,
    listen: Listener = unheard,
) -> Fit:
    """Everything that stays the same while a fit is advanced, with the model's defaults."""
    model = make_model(model_section)
    is_kmeans = model.minimises
    given = given or read_start(section.start)
    check_spread(model.domain, survey.spread)
    given.check(model, model_section.n_components, source.shape[1])
    tol = section.tol
    if tol is None:
        tol = 1e-4 if is_kmeans else 1e-3
    if is_kmeans:
        # Relative to the data, as scikit-learn's.
        tol *= float(survey.spread.variance.mean())
    default_iterations = 300 if is_kmeans else 100
    stop = Stop(
        "shift" if is_kmeans else "objective",
        tol,
        section.max_iter or default_iterations,
        exact=is_kmeans or model_section.assignment == "hard",
    )
    return Fit(
        source,
        engine,
        model,
        model_section.n_components,
        survey,
        plugin(SEEDERS, "seeder", section.init or ("k-means++" if is_kmeans else "kmeans")),
        make_model(ModelSection(name="kmeans", missing=model_section.missing)),
        stop,
        section.on_collapse or ("reseed" if is_kmeans else "regularise"),
        1 if given.means is not None else section.n_init,
        given,
        listen,
    )


def read_start(path: str | None) -> Given:
    """The start stored in an .npz: ``means`` and, if wanted, ``weights`` and scales."""
    if path is None:
        return Given()
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], np.float64) for name in stored.files}
    except FileNotFoundError:
        raise NotFoundError(f"There is no start file {path} (fit.start).") from None
    except (ValueError, OSError, TypeError) as error:
        raise StartError(
            f"fit.start: {path} is not an .npz of numbers ({error}). Write it with "
            "numpy.savez(path, means=..., weights=...)."
        ) from None
    means, weights = arrays.pop("means", None), arrays.pop("weights", None)
    return Given(means, weights, arrays)


def param_types(section: ModelSection) -> dict[str, Any]:
    """Types of the fields that a stored state or model leaves open."""
    return {"params": MixtureParams, "components": make_family(section).params}


def versions() -> dict[str, str]:
    """Of everything that could change a bit, for the record."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def run_location(config: Config, key: str | None = None) -> Location:
    """The folder of the run: ``run.folder/key``."""
    name = config.run.key or key or default_key(config)
    return Location(config.run.folder, config.run.storage_options).child(name)


def default_key(config: Config) -> str:
    """A name made of the model and a digest of all that decides the result.

    The same configuration finds its run again; another one gets its own.
    """
    stem = Path(config.data.path).stem
    return f"{stem}-{config.model.name}-{config.model.n_components}-{digest(config.identity())[:8]}"


def checked_start(config: Config, source: Source) -> Given:
    """The given start, if any, once it is known to fit the data; StartError otherwise."""
    given = read_start(config.fit.start)
    given.check(make_model(config.model), config.model.n_components, source.shape[1])
    if config.model.n_components > source.shape[0]:
        raise StartError(
            f"{config.model.n_components} components for {source.shape[0]} rows; wanted at least "
            "one row for each. Ask for fewer components."
        )
    return given


def make_run(
    config: Config,
    source: Source,
    engine: Engine,
    given: Given,
    folder: RunFolder,
    record: Mapping[str, Any],
    listen: Listener = unheard,
) -> Run:
    """The run of `config` in `folder`, new or resumed; `given` and `record` as checked before."""
    plan = Plan(
        source,
        engine,
        make_model(config.model),
        lambda survey: make_fit(config.model, config.fit, source, engine, survey, given, listen),
        make_survey(source, config.model, config.fit),
        config.model.n_components,
        param_types(config.model),
        config.fit.seed,
        Cadence(
            config.run.checkpoint_seconds,
            config.run.checkpoint_iterations,
            config.run.keep_last,
            config.run.keep_every,
        ),
        listen,
    )
    return Run(folder, plan, record)


def record(config: Config, source: Source, given: Given) -> dict[str, Any]:
    """What run.json is held to: configuration, data, block plan; and versions for the record."""
    identity = config.identity()
    if config.fit.start is not None:
        arrays = [given.means, given.weights, *given.scales.values()]
        found = hashlib.sha256(b"".join(a.tobytes() for a in arrays if a is not None))
        identity["start_sha256"] = found.hexdigest()
    bounds = source.bounds
    return {
        "config": identity,
        "data": dict(source.fingerprint()),
        "plan": {"blocks": len(source), "rows_per_block": bounds[1] - bounds[0]},
        "versions": versions(),
    }


def save_fitted(
    location: Location, section: ModelSection, fitted: Fitted, extra: Mapping[str, Any]
) -> str:
    """Store a model so that `load_fitted` finds all it needs; the sha256 of its data."""
    arrays, value = encode(fitted)
    meta = {
        "value": value,
        "model": section.model_dump(),
        "versions": versions(),
        **extra,
    }
    return save_model(location, arrays, meta)


def load_fitted(location: Location) -> tuple[ModelSection, Fitted, dict[str, Any]]:
    """``(model section, result, further metadata)`` of a saved model or a finished run."""
    saved = read_model(location)
    try:
        section = ModelSection.model_validate(saved.meta["model"])
        fitted = decode(Fitted, saved.arrays, saved.meta["value"], param_types(section))
    except (KeyError, ValueError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{location} holds no emdist model that this version can read: {error}. Fit again, "
            "or use the version of emdist that wrote it."
        ) from None
    return section, fitted, saved.meta
