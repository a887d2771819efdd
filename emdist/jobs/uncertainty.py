"""Say how sure a model is: standard errors, stability of labels, a test of one component more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from emdist.composition.caching import kept_source
from emdist.composition.make import make_engine, make_source
from emdist.composition.recipe import Recipe
from emdist.errors import ConfigError, NotFoundError
from emdist.fit.events import Began, Listener, Progress, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Source
from emdist.jobs.answers import store_answer, stored_answer
from emdist.jobs.evaluate import data_of
from emdist.jobs.records import load_fitted, reading_of, recorded_config
from emdist.prepare.source import with_source
from emdist.quality.uncertainty.bootstrap import bootstrap_replicates, estimates
from emdist.quality.uncertainty.information import Information, information
from emdist.quality.uncertainty.likelihood_ratio import check_testable, likelihood_ratio
from emdist.quality.uncertainty.replicates import ITERATIONS, Refitted, refitted
from emdist.quality.uncertainty.stability import Stability, stability
from emdist.report.uncertainty import ComponentTest, LabelStability, Method, StandardErrors
from emdist.settings.config import (
    ClusterSection,
    FitSection,
    NewDataSection,
    make_section,
)
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder

#: The file of a run that says how sure its model is.
UNCERTAINTY = "uncertainty.json"
#: Standard errors from the maximum of the likelihood beyond which a fit has not converged.
_AWAY = 0.2
#: Agreement of labels below which they are doubtful.
_AGREE = 0.8
#: What the fits whose labels are compared can differ in, and how messages name it.
OVER = {"starts": "other starts", "bootstrap": "resampled rows", "halves": "halves of the rows"}


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, how it was fitted, and rows.

    Attributes
    ----------
    recipe
        The fit, as configured.
    fitted
        The fitted model.
    source, engine
        The rows, prepared as the model needs them, and the engine that reads them.
    listen
        Called with the progress, and with what something will cost.
    """

    recipe: Recipe
    fitted: Fitted
    source: Source
    engine: Engine
    listen: Listener = unheard

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of the components, and of noise."""
        labels = tuple(range(self.fitted.n_components))
        return (*labels, -1) if self.fitted.n_columns > self.fitted.n_components else labels

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features that the model sees."""
        names = self.fitted.prepared_names
        return names or tuple(f"x{j}" for j in range(self.fitted.n_features))


def cost_of(subject: Subject, models: int, samples: int = 0) -> str:
    """Return what it costs to fit several models, in words, before it begins.

    With `samples`, they are fitted to so many samples, one after another.
    """
    rows, usual = subject.source.shape[0], max(1, subject.fitted.iterations)
    how = "All share each pass over the rows"
    if samples:
        how = f"The {models} fits of each of {samples:,} samples share its passes"
    total = max(1, samples) * models
    return (
        f"{total:,} fits of {rows:,} rows. {how}, of which there are at least about as many as the "
        f"fit took ({usual:,}) and at most {ITERATIONS:,}: {total * usual * rows:,} evaluations of "
        "the model for a row, or more."
    )


def standard_errors(
    subject: Subject,
    method: Method = "information",
    number: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> StandardErrors:
    """Return the parameters of a model with standard errors and intervals."""
    if method not in ("information", "bootstrap"):
        raise ConfigError(f"method={method!r}; expected 'information' or 'bootstrap'.")
    section, fitted, source = subject.recipe.section, subject.fitted, subject.source
    own = (subject.labels, subject.names)
    total = len(source)
    if method == "information":
        with naming(source):
            found: Information = information(
                section, fitted, source, subject.engine, level,
                lambda done: subject.listen(Progress("scores", done, total)),
            )  # fmt: skip
        doubts: tuple[str, ...] = ()
        if found.away > _AWAY:
            doubts = (
                f"A parameter is {found.away:.2g} standard errors from where the likelihood of "
                "these rows is largest: the fit had not converged, has a prior, or saw other rows. "
                "Fit again with a smaller tolerance.",
            )
        return StandardErrors(method, level, *own, found.estimates, found.rows, 1, 0, doubts)
    subject.listen(Began("bootstrap", cost_of(subject, number)))
    again: Refitted = refitted(
        subject.recipe, fitted, source, subject.engine, bootstrap_replicates(number, seed),
        subject.listen,
    )  # fmt: skip
    rows = int(again.fit.survey.rows)
    made = tuple(estimates(again, level))
    told = _unfinished(again.unfinished, number)
    return StandardErrors(method, level, *own, made, rows, again.passes, number, told)


def _unfinished(unfinished: int, number: int) -> tuple[str, ...]:
    if not unfinished:
        return ()
    return (
        f"{unfinished} of {number} replicates had not converged after max_iter iterations, so "
        "standard errors may be too small. Raise max_iter.",
    )


def label_stability(
    subject: Subject, over: str = "starts", number: int = 20, level: float = 0.95, seed: int = 0
) -> LabelStability:
    """Return how stable the labels of a model are."""
    if over not in OVER:
        raise ConfigError(f"over={over!r}; expected one of {', '.join(map(repr, OVER))}.")
    models = number * (2 if over == "halves" else 1) + (over == "starts")
    subject.listen(Began("stability", cost_of(subject, models)))
    found = stability(
        subject.recipe, subject.fitted, subject.source, subject.engine, over, number, seed,
        subject.listen,
    )  # fmt: skip
    return LabelStability(subject.labels, found, level, tuple(_doubts(found)))


def _doubts(found: Stability) -> Iterator[str]:
    mean = float(found.agreement.mean())
    if mean < _AGREE:
        yield (
            f"Labels from {OVER[found.over]} agree little with those of the model (adjusted Rand "
            f"index {mean:.2f} on average): another number of components may describe the rows "
            "better."
        )
    if found.better:
        yield (
            f"{found.better} of {len(found.agreement)} other starts reach a better objective than "
            "the model. Fit with more restarts (n_init)."
        )


def component_test(
    subject: Subject, number: int = 99, n_init: int = 5, seed: int = 0
) -> ComponentTest:
    """Return a test of the components of a mixture against one component more."""
    check_testable(subject.recipe, subject.source)
    cost = cost_of(subject, 1 + n_init, 1 + number)
    subject.listen(Began("likelihood ratio", cost))
    found = likelihood_ratio(
        subject.recipe, subject.fitted, subject.source, subject.engine, number, n_init, seed,
        subject.listen,
    )  # fmt: skip
    return ComponentTest(found)


@dataclass(frozen=True)
class Asked:
    """What is asked about a model; a number of None asks for nothing.

    Attributes
    ----------
    bootstrap
        The number of replicates for standard errors. If nothing is asked, they are those of the
        information matrix.
    stability, over
        The number of fits whose labels are compared, and what they differ in.
    component_test
        The number of samples of a test for one component more.
    level
        The level of intervals.
    seed
        The random seed.
    """

    bootstrap: int | None = None
    stability: int | None = None
    over: str = "starts"
    component_test: int | None = None
    level: float = 0.95
    seed: int = 0


def answers(
    subject: Subject, asked: Asked
) -> dict[str, StandardErrors | LabelStability | ComponentTest]:
    """Return what is asked about a model, by the names under which it is stored."""
    found: dict[str, StandardErrors | LabelStability | ComponentTest] = {}
    if asked.component_test is not None:
        check_testable(subject.recipe, subject.source)
    if asked.bootstrap is not None:
        found["standard_errors"] = standard_errors(
            subject, "bootstrap", asked.bootstrap, asked.level, asked.seed
        )
    elif asked.stability is None and asked.component_test is None:
        found["standard_errors"] = standard_errors(subject, level=asked.level)
    if asked.stability is not None:
        found[f"stability_{asked.over}"] = label_stability(
            subject, asked.over, asked.stability, asked.level, asked.seed
        )
    if asked.component_test is not None:
        found["component_test"] = component_test(subject, asked.component_test, seed=asked.seed)
    return found


@contextmanager
def opened(
    run: Location,
    data: NewDataSection | None = None,
    cluster: ClusterSection | None = None,
    listen: Listener = unheard,
) -> Iterator[Subject]:
    """Yield the model of a run with its rows, which are kept in memory where they fit.

    Parameters
    ----------
    run
        The folder of a finished run, or a saved model if `data` is given.
    data
        The data; None for those of the run.
    cluster
        Where to compute; None for threads of this process.
    listen
        Called with each event.
    """
    section, fitted, meta = load_fitted(run)
    reading = reading_of(run, section, meta)
    rows = make_source((data or data_of(run)).read_as(reading))
    source: Source = fitted.prepared(rows)
    if doubt := fitted.check_features(source):
        listen(Warned(doubt))
    cluster = cluster or ClusterSection()
    with (
        make_engine(cluster, source) as engine,
        kept_source(cluster, rows, engine, listen=listen) as kept,
    ):
        read = with_source(source, lambda _: kept)
        yield Subject(Recipe(section, _fit_of(run)), fitted, read, engine, listen)


def _fit_of(run: Location) -> FitSection:
    """Return how a run was fitted; the defaults for a saved model."""
    try:
        config = recorded_config(RunFolder(run).record(), run)
    except NotFoundError:
        return FitSection()
    return make_section(FitSection, config["fit"], f"{run}: fit")


def store(run: Location, found: Mapping[str, Any]) -> None:
    """Store how sure the model of a run is, beside what is stored already for the same model."""
    store_answer(run, UNCERTAINTY, {**(stored_uncertainty(run) or {}), **found})


def stored_uncertainty(run: Location) -> dict[str, Any] | None:
    """Return what is stored with a run on how sure its model is; None if there is nothing.

    What is stored of an earlier model of the run does not count.
    """
    return stored_answer(run, UNCERTAINTY)
