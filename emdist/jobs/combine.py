"""Combine the components of a finished run or saved model that overlap, stored with the run."""

from __future__ import annotations

from emdist.composition.model import CENTRES, make_model
from emdist.errors import ConfigError
from emdist.fit.events import Listener, Progress, unheard
from emdist.jobs.answers import store_answer
from emdist.jobs.uncertainty import Subject, opened
from emdist.quality.combining import combining_tree
from emdist.report.combining import CombinedComponents
from emdist.settings.config import ClusterSection, NewDataSection
from emdist.store.places.location import Location

#: The file of a run that says which of its components belong together.
COMBINED = "combined.json"


def combined(subject: Subject) -> CombinedComponents:
    """Return the components of a model combined into ever fewer clusters: k - 1 passes."""
    section = subject.recipe.section
    if section.name in CENTRES:
        raise ConfigError(
            "Components are combined by the entropy of their responsibilities, which a model of "
            "centres does not have. Fit a mixture, such as full Gaussians."
        )
    if section.chain is not None:
        raise ConfigError(
            "Components of mixtures are combined; the states of a hidden Markov model are not, "
            "because its rows depend on one another. Fit it with fewer states."
        )

    def told(done: int, total: int) -> None:
        subject.listen(Progress("combine", done, total))

    return CombinedComponents(
        combining_tree(make_model(section), subject.fitted, subject.source, subject.engine, told)
    )


def combine_run(
    run: Location,
    data: NewDataSection | None = None,
    cluster: ClusterSection | None = None,
    listen: Listener = unheard,
) -> CombinedComponents:
    """Combine the components of a run, and store the tree with it, as ``combined.json``.

    The parameters are those of `emdist.jobs.uncertainty.opened`.
    """
    with opened(run, data, cluster, listen) as subject:
        found = combined(subject)
    if data is None:
        store_answer(run, COMBINED, found.to_dict())
    return found
