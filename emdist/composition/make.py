"""Makes source, engine, survey, fit and run from a configuration and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emdist.composition.footprint import sample_size
from emdist.composition.model import CENTROIDS, make_model, named
from emdist.composition.recipe import Recipe
from emdist.composition.start_file import read_start as read_start
from emdist.composition.sweep_config import SweepConfig
from emdist.composition.tolerances import make_stop
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, StartError
from emdist.fit.events import Listener, unheard
from emdist.fit.extend import check_path
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted
from emdist.fit.observed import observed_source
from emdist.fit.plan import Cadence, Plan
from emdist.fit.preparing import Preparing
from emdist.fit.run import Run
from emdist.fit.seeding.geometry import Absolute, Observed, Space, space_of
from emdist.fit.start import Given, Reached
from emdist.fit.state import FitState
from emdist.fit.survey import Survey, SurveyTask, accepts_missing
from emdist.fit.survey_checks import check_survey
from emdist.fit.together.lockstep import BUDGET
from emdist.inputs.sequences import Sequences, sequences_of_ids, sequences_of_lengths
from emdist.inputs.validation import checked_options
from emdist.interfaces import Engine, Source
from emdist.prepare.source import planned
from emdist.settings.config import (
    CLUSTERS,
    ClusterSection,
    Config,
    DataSection,
    FitSection,
    ModelSection,
)
from emdist.store.grids.opening import stored_source, stored_weights
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import digest
from emdist.store.sources.references import open_checked
from emdist.store.sources.sequenced import sequenced
from emdist.store.sources.sizes import largest_block, smaller_blocks
from emdist.store.sources.zarr_source import ArrayRef


def make_source(section: DataSection) -> Source:
    """Return the data of a configuration, checked as far as their metadata allow."""
    ref = ArrayRef(Location(section.path, section.storage_options), section.array)
    weights, options = section.weights, section.storage_options
    return stored_source(
        ref,
        section.layout,
        None if weights is None else stored_weights(ref, section.layout, weights, options),
        block_bytes=section.block_bytes,
        missing=section.missing_chunks,
        non_finite=section.non_finite,
        corrupt=section.corrupt_chunks,
        decode=section.decode,
        rows=section.select_rows,
    )


def make_threads(section: ClusterSection) -> LocalEngine | None:
    """Return the engine of threads in this process, or None if a cluster does the work."""
    if section.kind != "threads":
        return None
    engine: LocalEngine = checked_options(
        LocalEngine, section.options, "cluster", [*ClusterSection.model_fields]
    )
    return engine


def in_sequence(source: Source, section: DataSection, model: ModelSection) -> Source:
    """Return `source` with the sequences of its rows, if `model` looks at them.

    Raises
    ------
    ConfigError
        If rows of one sequence are not consecutive, or time is none of the dimensions of a grid.
    ShapeError
        If there is not one id for each row, or lengths do not sum to the number of rows.
    """
    if model.chain is None:
        return source

    def stored(place: str) -> Any:
        return open_checked(ArrayRef(Location(place, section.storage_options)))

    told: Callable[[int], Sequences] | None = None
    if (ids := section.sequences) is not None:
        told = lambda rows: sequences_of_ids(stored(ids), rows, "data.sequences")  # noqa: E731
    elif (lengths := section.lengths) is not None:
        given = np.asarray(stored(lengths)[:]) if isinstance(lengths, str) else lengths
        told = lambda rows: sequences_of_lengths(given, rows, "data.lengths")  # noqa: E731
    return sequenced(source, told)


@contextmanager
def make_engine(
    section: ClusterSection, source: Source, needs: Callable[[int], int] | None = None
) -> Iterator[Engine]:
    """Yield the engine of a configuration; a cluster started for it is closed at the end.

    Parameters
    ----------
    section
        The settings of the cluster.
    source
        The source whose blocks the workers must be able to hold.
    needs
        Returns how many bytes a worker with that many threads needs for the model, besides its
        blocks.

    Raises
    ------
    EngineError
        If the cluster is not available, or if its workers cannot hold the blocks of `source`.
    """
    if (threads := make_threads(section)) is not None:
        yield threads
        return
    from emdist.engines.dask.engine import DaskEngine
    from emdist.engines.dask.memory import check_memory

    cluster = named(
        CLUSTERS,
        "cluster",
        section.kind,
        section.options,
        "cluster",
        [*ClusterSection.model_fields],
    )
    with cluster.open() as client:
        check_memory(client, largest_block(source), partial(smaller_blocks, source), needs)
        # A cluster that releases idle workers needs as long for new ones as for the first.
        patience = max(DaskEngine.workers_timeout, getattr(cluster, "timeout", 0.0))
        yield DaskEngine(client, stall_timeout=section.stall_timeout, workers_timeout=patience)


def make_survey(source: Source, recipe: Recipe) -> SurveyTask:
    """Return the survey task, whose sample is large enough for seeds and fits into memory."""
    missing, components = recipe.section.missing, recipe.components
    if missing and components.needs_covariance:
        raise ConfigError(
            "By default, the scale of a prior is the covariance of the data, which cannot be "
            "computed from rows with missing values. Give the covariance of the prior, or set "
            "data.non_finite to 'drop'."
        )
    return SurveyTask(
        observed_source(source, recipe.model),
        recipe.k,
        sample_size(source, recipe.k, recipe.fit),
        recipe.fit.seed,
        components.shifted,
        missing,
        components.needs_covariance,
        missing or (not components.needs_covariance and accepts_missing(recipe.model)),
    )


def make_space(recipe: Recipe, survey: Survey) -> Space:
    """Return the space of a model's centres, and the geometry by which seeds are drawn."""
    section = recipe.section
    if section.name in CENTROIDS and not section.missing:
        dissimilarity: Any = recipe.components
        return space_of(dissimilarity, survey)
    unit = float(survey.spread.variance.mean())
    if section.missing:
        return Space(unit, Observed())
    return Space(unit, Absolute()) if section.name == "kmedians" else Space(unit)


def check_extension(recipe: Recipe, old: FitSection, saved: tuple[Survey, FitState]) -> None:
    """Raise RunMismatchError unless a fit with the stop rules of `old` may go on with `recipe`.

    `saved` has the survey of the fit and the state that it has reached.
    """
    survey, state = saved
    unit = make_space(recipe, survey).unit
    before, after = (make_stop(recipe, fit, survey, unit) for fit in (old, recipe.fit))
    which = f"{recipe.name}: " if recipe.name else ""
    check_path(before, after, state, recipe.fit.schedule == "sparse", which)


def make_fit(
    recipe: Recipe,
    source: Source,
    engine: Engine,
    survey: Survey,
    given: Given | None = None,
    listen: Listener = unheard,
    begun: bool = False,
) -> Fit:
    """Return everything that stays the same during a fit, with the model's defaults.

    `begun` says that the fit already has parameters, so that no seeds are needed.
    """
    section, fit = recipe.section, recipe.fit
    given = given or read_start(fit.start)
    check_survey(recipe.model, survey, given, 0 if begun else recipe.k, listen)
    model = make_model(section, survey.spread)  # its priors may come from the data
    given.check(model, recipe.k, source.shape[1])
    space, earlier = make_space(recipe, survey), given.earlier
    return Fit(
        observed_source(source, model),
        engine,
        model,
        recipe.k,
        survey,
        recipe.seeder,
        recipe.labeller,
        make_stop(recipe, fit, survey, space.unit),
        recipe.schedule,
        fit.on_collapse or ("reseed" if model.minimises else "regularise"),
        1 if given.places(model, source.shape[1]) else fit.n_init,
        given,
        listen,
        space.geometry,
        before=Reached() if earlier is None else earlier.reached_on(survey.spread),
        memory=earlier.memory if earlier is not None and goes_on(recipe, given) else None,
    )


def goes_on(recipe: Recipe, given: Given) -> bool:
    """Return whether the fit goes on with the statistics of an earlier fit of its stream."""
    known = given.earlier is not None and given.earlier.memory is not None
    return known and bool(getattr(recipe.schedule, "stream", False))


def run_location(config: Config, key: str | None = None) -> Location:
    """Return the folder of the run: ``run.folder/key``."""
    name = config.key(key) or default_key(config)
    return Location(config.run.folder, config.run.storage_options).child(name).given


def default_key(config: Config) -> str:
    """Return a name made of what is fitted and a digest of all that decides the result.

    The same configuration finds its run again, and another one gets its own.
    """
    return f"{Path(config.data.path).stem}-{config.what()}-{digest(config.identity())[:8]}"


def checked_start(
    recipes: Sequence[Recipe], source: Source, exact: bool = True, given: Given | None = None
) -> Given:
    """Return the given starting values, if any; raise StartError if they or k do not fit rows.

    `given` are those of an earlier model, in place of those in a file. `exact` says that the number
    of features of `source` is known, and not only its largest.
    """
    given, (rows, features) = given or read_start(recipes[0].fit.start), source.shape
    for one in sorted(recipes, key=lambda recipe: -recipe.k):
        if one.k > rows and not given.places(one.model, features):
            fewer = "Leave the larger numbers out of sweep.n_components"
            raise StartError(
                f"{one.k} components for {rows} rows; expected at least one row for each "
                f"component. {fewer if one.name else 'Ask for fewer components'}."
            )
        if exact:
            given.check(one.model, one.k, features)
    return given


def make_run(
    config: Config,
    recipes: Sequence[Recipe],
    source: Source,
    engine: Engine,
    given: Given,
    folder: RunFolder,
    record: Mapping[str, Any],
    listen: Listener = unheard,
    epoch: int | None = None,
    reference: Fitted | None = None,
) -> Run:
    """Return the run of `config` in `folder`, new or resumed; `given` and `record` are checked.

    `epoch` is that of this process if it has claimed the run already. `reference` is the earlier
    model that `given` are from, if it is one.
    """
    cadence = Cadence(
        config.run.checkpoint_seconds,
        config.run.checkpoint_iterations,
        config.run.keep_last,
        config.run.keep_every,
    )

    def plans(ready: Source) -> list[Plan]:
        return [make_plan(one, ready, engine, given, listen, cadence, reference) for one in recipes]

    steps = config.steps
    preparing = (
        Preparing(
            steps,
            source,
            engine,
            plans,
            listen,
            config.data.non_finite == "missing",
            None if reference is None else reference.preparation,
        )
        if steps
        else None
    )
    budget = config.sweep.budget if isinstance(config, SweepConfig) else BUDGET
    first = plans(planned(source, steps))
    return Run(folder, first, record, budget, config.run.extend, preparing, epoch)


def make_plan(
    recipe: Recipe,
    source: Source,
    engine: Engine,
    given: Given,
    listen: Listener = unheard,
    cadence: Cadence | None = None,
    reference: Fitted | None = None,
) -> Plan:
    """Return the plan of one fit of a run, whose components get the numbers of `reference`."""
    earlier = given.earlier
    return Plan(
        source,
        engine,
        recipe.model,
        lambda survey: make_fit(recipe, source, engine, survey, given, listen),
        make_survey(source, recipe),
        recipe.types,
        recipe.fit.seed,
        cadence or Cadence(),
        listen,
        recipe.name,
        reference,
        earlier.spread.origin if earlier is not None and goes_on(recipe, given) else None,
    )
