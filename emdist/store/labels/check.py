"""Verification of labels: whether all blocks are there and still hold what was written."""

from __future__ import annotations

from collections.abc import Iterator

from emdist.errors import CheckpointError
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.array_plans import StoredOutputs, chosen_columns
from emdist.store.labels.digest import DIGEST
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.labels.place import (
    components_in,
    damaged,
    earlier_keys,
    label_mark,
    layout_of,
    telling,
)
from emdist.store.labels.progress import read_progress
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest
from emdist.store.sources.plan import MAX_BLOCKS


def damaged_blocks(location: Location) -> Iterator[int]:
    """Yield the blocks of the labels at `location` that are done but do not match their digests.

    This reads all outputs. Blocks that are not done yet are not yielded.

    Raises
    ------
    CheckpointError
        If emdist did not write what is there, or wrote it before blocks had digests.
    """
    mark = label_mark(location) or {}
    noted = read_progress(location)
    with telling("read the progress of the labels in", location):
        if mark.get("digest") != DIGEST:
            raise damaged(location, "their blocks have no digests that this version can check")
        layout, columns = layout_of(mark, location)
        told, identity = mark.get("outputs"), mark.get("identity")
        if not isinstance(told, list) or not isinstance(identity, dict):
            raise damaged(location, "their metadata lacks the outputs or the identity")
        if noted.blocks > MAX_BLOCKS:
            raise damaged(location, f"their metadata claims {noted.blocks} blocks")
        outputs = tuple(name for name in told if name in OUTPUTS)  # In the order of the digests.
        noise = "noise" in mark
        chosen = chosen_columns(components_in(mark), columns, noise)
        contents = StoredOutputs(outputs, layout, columns, noise, chosen)
        earlier = earlier_keys(mark, location)
        writer = LabelWriter(location, contents, digest(identity), earlier)
    for i in noted.done.tolist():
        if writer.done(i) is None:
            yield i


@apart
def is_labelled(location: Location) -> bool:
    """Return whether every block of the labels at `location` is done and matches its digest."""
    try:
        noted = read_progress(location)
        if len(noted.done) < noted.blocks:
            return False
        return next(damaged_blocks(location), None) is None
    except CheckpointError:
        return False  # cut off or lost: labelling continues them, or says what is wrong
