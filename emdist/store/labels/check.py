"""Whether labels are all there, and still what was written."""

from __future__ import annotations

from collections.abc import Iterator

from emdist.errors import CheckpointError
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.digest import DIGEST
from emdist.store.labels.place import (
    OUTPUTS,
    damaged,
    label_mark,
    layout_of,
    read_progress,
    telling,
)
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest
from emdist.store.sources.plan import MAX_BLOCKS


def damaged_blocks(location: Location) -> Iterator[int]:
    """Blocks of the labels at `location` that are done and no longer what was written.

    Reads all outputs; a block that is not done yet is none of them.

    Raises
    ------
    CheckpointError
        If what is there is not what emdist wrote, or was written before blocks had digests.
    """
    mark = label_mark(location) or {}
    noted = read_progress(location)
    with telling("read what was noted of", location):
        if mark.get("digest") != DIGEST:
            raise damaged(location, "their blocks have no digests that this version knows")
        rows, block, k = layout_of(mark, location)
        told, identity = mark.get("outputs"), mark.get("identity")
        if not isinstance(told, list) or not isinstance(identity, dict):
            raise damaged(location, "their metadata does not say what they are")
        if noted.blocks > MAX_BLOCKS:
            raise damaged(location, f"they claim {noted.blocks} blocks")
        bounds = (*range(0, rows, block), rows)
        outputs = tuple(name for name in told if name in OUTPUTS)  # in its order
        key = digest(identity)
    writer = LabelWriter(location, outputs, bounds, k, "noise" in mark, key)
    for i in noted.done.tolist():
        if writer.done(i) is None:
            yield i


@apart
def is_labelled(location: Location) -> bool:
    """Whether every block of the labels at `location` is done, and still what was written."""
    try:
        noted = read_progress(location)
        if len(noted.done) < noted.blocks:
            return False
        return next(damaged_blocks(location), None) is None
    except CheckpointError:
        return False  # torn or lost: labelling goes on, or says what is the matter
