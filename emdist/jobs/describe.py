"""Describe the clusters of a finished run or saved model: their profile, stored with the run."""

from __future__ import annotations

from typing import Any

from emdist.composition.caching import ahead_source
from emdist.composition.make import make_engine
from emdist.composition.model import CENTRES, make_model
from emdist.fit.events import Listener, Progress, Warned, unheard
from emdist.fit.fitted import Fitted
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Source
from emdist.jobs.answers import store_answer, stored_answer
from emdist.jobs.evaluate import data_source
from emdist.jobs.records import load_fitted
from emdist.prepare.source import with_source
from emdist.quality.profiles.figures import figures
from emdist.quality.profiles.step import profile_sums
from emdist.report.profile import Profile
from emdist.settings.config import ClusterSection, ModelSection, NewDataSection
from emdist.store.places.location import Location

#: The file of a run with its profile.
PROFILE = "profile.json"
#: The rows of each cluster that are kept as its representatives.
REPRESENTATIVES = 3


def profile_of(
    section: ModelSection,
    fitted: Fitted,
    source: Source,
    engine: Engine,
    size: int = REPRESENTATIVES,
    done: Any = None,
) -> Profile:
    """Return the profile of the clusters that a model makes of prepared rows: one pass.

    `size` is the number of representative rows, and `done` is called with finished blocks.
    """
    model = make_model(section)
    soft = section.name not in CENTRES
    with naming(source):
        found = profile_sums(fitted, model, source, engine, soft, size, done)
    labels = tuple(range(fitted.n_components))
    if fitted.n_columns > fitted.n_components:
        labels = (*labels, -1)
    names = fitted.feature_names or tuple(f"x{j}" for j in range(fitted.n_features_in))
    return Profile(labels, names, figures(found))


def describe_run(
    run: Location,
    data: NewDataSection | None = None,
    cluster: ClusterSection | None = None,
    listen: Listener = unheard,
) -> Profile:
    """Return the profile of the clusters of a run, from one pass over its data.

    The profile of the run's own data is stored with the run, as ``profile.json``.

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

    Raises
    ------
    NotFoundError
        If there is no run.
    ConfigError
        If it is not known which data to read.
    """
    section, fitted, meta = load_fitted(run)
    source: Source = fitted.prepared(data_source(run, section, meta, data))
    if doubt := fitted.check_features(source):
        listen(Warned(doubt))
    cluster, total = cluster or ClusterSection(), len(source)
    with make_engine(cluster, source) as engine:
        read = with_source(source, lambda rows: ahead_source(rows, engine, cluster))
        found = profile_of(
            section, fitted, read, engine,
            done=lambda done: listen(Progress("describe", done, total)),
        )  # fmt: skip
    if data is None:
        store_answer(run, PROFILE, found.to_dict())
    return found


def stored_profile(run: Location) -> dict[str, Any] | None:
    """Return the tables of the profile that is stored with a run; None if it has none.

    They are those of `emdist.report.profile.Profile.to_dict`. A profile of an earlier model of the
    run does not count.
    """
    return stored_answer(run, PROFILE)
