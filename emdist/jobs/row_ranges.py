"""The rows of data that grow: which of them a run reads (``data.select_rows``)."""

from __future__ import annotations

from emdist.composition.make import make_source
from emdist.errors import NotFoundError, ShapeError
from emdist.fit.events import Listener, Warned
from emdist.settings.config import Config, DataSection
from emdist.settings.data import NEW_ROWS
from emdist.store.labels.place import check_created, label_mark, layout_of
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder

#: The entry of a run's record with the rows that it reads, as a slice.
ROWS = "rows"


def rows_of_run(config: Config, run: Location, listen: Listener) -> DataSection:
    """Return the section ``data`` with the rows that the run reads.

    A run that has begun goes on with the rows that it began with, although there may be more by
    now.

    Raises
    ------
    ShapeError
        If there are no new rows, where these were asked for.
    """
    data = config.data
    asked = data.select_rows
    if asked is None:
        return data
    if (before := _begun(run, asked)) is not None:
        fixed = data.model_copy(update={"select_rows": before})
        if asked.endswith(":") and (now := _length(data)) > int(before.partition(":")[2]):
            listen(
                Warned(
                    f"This run reads the rows {before}, although data.select_rows is {asked!r} and "
                    f"the data have {now:,} rows by now. To fit all of them, use another run.key."
                )
            )
        return fixed
    if asked != NEW_ROWS:
        return data
    labels = Location(str(config.labels.path), config.labels.storage_options)
    known, now = labelled_rows(labels), _length(data)
    if known >= now:
        raise ShapeError(
            f"There are no new rows: the data have {now:,} rows, and the labels at {labels} have "
            f"{known:,}. Start again when the data have grown."
        )
    return data.model_copy(update={"select_rows": f"{known}:"})


def _begun(run: Location, asked: str) -> str | None:
    """Return the rows of a run that has begun with the same setting; None for others."""
    try:
        record = RunFolder(run).record()
    except NotFoundError:
        return None
    data = record.get("config", {}).get("data", {})
    found = record.get(ROWS)
    return found if isinstance(found, str) and data.get("select_rows") == asked else None


def _length(data: DataSection) -> int:
    """Return the number of positions of the first sample dimension."""
    whole = make_source(data.model_copy(update={"select_rows": ":"}))
    return int(whole.bounds.shape[0])  # type: ignore[attr-defined]


def labelled_rows(labels: Location) -> int:
    """Return how many positions of the first sample dimension have labels; 0 without labels."""
    mark = label_mark(labels)
    if mark is None:
        return 0
    check_created(mark, labels)
    return layout_of(mark, labels)[0].shape[0]
