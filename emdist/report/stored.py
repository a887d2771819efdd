"""Pages made again from stored summaries, for runs that had finished before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from emdist.quality.ranking import Row
from emdist.report.page import Page
from emdist.report.summary import Summary
from emdist.report.sweep import SweepSummary


def page_of_stored(values: Mapping[str, Any]) -> Page | None:
    """Return the page of a stored summary of a fit or a sweep; None if an older emdist wrote it.

    `values` are those of ``summary.json``.
    """
    try:
        if "models" not in values:
            return Summary(**_known(Summary, values)).to_page()
        rows = tuple(row_of_stored(row) for row in values["models"])
        return SweepSummary(**{**_known(SweepSummary, values), "models": rows}).to_page()
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        return None  # It lacks what a newer summary has.


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: values[field.name] for field in fields(cls) if field.name in values}


def row_of_stored(values: Mapping[str, Any]) -> Row:
    """Return a model of a sweep from its JSON values, which have null in place of NaN."""
    found: dict[str, Any] = {
        k: math.nan if v is None else v for k, v in _known(Row, values).items()
    }
    criteria = {k: math.nan if v is None else v for k, v in found["criteria"].items()}
    return Row(**{**found, "criteria": criteria, "degenerate": tuple(found["degenerate"])})
