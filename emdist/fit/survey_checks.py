"""Checks that a model can be fitted to the surveyed rows, from the given starting values if any."""

from __future__ import annotations

from typing import Any

from emdist.fit.domain import check_spread
from emdist.fit.events import Listener, Warned, unheard
from emdist.fit.start import Given
from emdist.fit.survey import Survey
from emdist.interfaces import Model


def check_survey(
    model: Model[Any], survey: Survey, given: Given, k: int, listen: Listener = unheard
) -> None:
    """Raise unless `k` components of `model` can be seeded and fitted to the surveyed rows.

    Seeds need distinct rows, but given starting values do not.
    """
    if model.squares:
        survey.check_squares()
        given.check_reach(survey.spread)
    check_spread(model.domain, survey.spread)
    if not given.places(model, len(survey.spread.origin)):
        survey.check_distinct(k)
    elif model.minimises and len(survey.distinct) < k:
        listen(
            Warned(
                f"There are starting values for {k} clusters, but the data have only "
                f"{len(survey.distinct)} distinct rows with weight > 0. Some clusters will be "
                f"empty or the same. Ask for at most {len(survey.distinct)} clusters."
            )
        )
