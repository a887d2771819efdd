"""Show one run: what its listing tells, what it takes on disk, and what `inspect` finds."""

from __future__ import annotations

from typing import Any

from emdist.errors import EmdistError
from emdist.jobs.inspect import inspect
from emdist.jobs.runs.described import parts_of
from emdist.jobs.runs.listing import look_at
from emdist.store.places.location import Location


def show_run(run: Location) -> dict[str, Any]:
    """Return what is known of a run: as JSON values.

    They are those of `RunInfo`, and ``parts`` (the bytes of each file and folder in it) and
    ``inspected``, the result of `inspect`; null if that fails, with the reason in ``why``.

    Raises
    ------
    NotFoundError
        If there is no run.
    """
    folder, info = look_at(run)
    found = {**info.to_dict(), "parts": {}, "inspected": None}
    if not isinstance(folder.entries, Exception):
        found["parts"] = parts_of(folder.entries)
    try:
        found["inspected"] = inspect(run)
    except EmdistError as error:
        found["why"] = found["why"] or str(error)
    return found
