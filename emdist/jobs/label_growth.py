"""Labels that grow with their data: which rows are new, and whether the others are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from emdist.errors import ConfigError, RunMismatchError
from emdist.interfaces import Source
from emdist.prepare.source import unprepared
from emdist.store.grids.boxes import Boxes
from emdist.store.grids.grid_source import GridSource
from emdist.store.labels.growing import (
    WATCH,
    extend_labels,
    extended,
    to_be_extended,
    whole_blocks,
)
from emdist.store.labels.layouts import GridLayout, layout_of_plan
from emdist.store.labels.place import (
    Wanted,
    components_in,
    is_created,
    label_mark,
    layout_of,
    outputs_there,
)
from emdist.store.labels.progress import read_progress
from emdist.store.labels.writer import sums_in
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest
from emdist.store.sources.plan import Bounds
from emdist.store.sources.zarr_source import ZarrSource, stored_identity
from emdist.sums import Sums

if TYPE_CHECKING:
    from emdist.jobs.label_source import LabelWork


def as_labelled(
    source: Source, out: Location, outputs: Sequence[str] | None, components: Any
) -> tuple[Source, tuple[str, ...], Any]:
    """Return `source` in the blocks of the labels at `out`, and the outputs that these have.

    Raises
    ------
    ConfigError
        If the source does not lie in chunks, or if other outputs are asked for.
    """
    if not isinstance(source, ZarrSource | GridSource):
        raise ConfigError(
            "Rows can be appended to labels of data in Zarr or xarray only. Pass the path of an "
            "array or group, an open one, or an xarray object with emdist.rows."
        )
    mark = label_mark(out)
    if mark is None or not is_created(mark):
        return source, tuple(outputs or ("labels",)), components
    there, chosen = outputs_there(out, mark), components_in(mark)
    if outputs is not None and {*outputs} != {*there}:
        raise ConfigError(
            f"The labels at {out} have {', '.join(there)}, and the new rows get the same. Ask for "
            "these outputs, or for none."
        )
    layout, bounds = layout_of(mark, out)[0], source.bounds
    steps = layout.boxes.steps if isinstance(layout, GridLayout) else (layout.region(0)[0].stop,)
    if isinstance(bounds, Boxes) and isinstance(layout, GridLayout) and bounds.names == layout.dims:
        source = replace(source, bounds=replace(bounds, steps=steps))
    elif isinstance(bounds, Bounds) and not isinstance(layout, GridLayout):
        source = replace(source, bounds=Bounds(bounds.rows, steps[0]))  # type: ignore[arg-type]
    return source, there, None if chosen is None else list(chosen)


@dataclass(frozen=True)
class Growth:
    """The growth of one group of labels.

    Attributes
    ----------
    out
        Its location.
    wanted
        The labels as they will be.
    source
        The rows, before they are prepared.
    known
        The number of positions along the first dimension that had labels before.
    """

    out: Location
    wanted: Wanted
    source: Source
    known: int

    @classmethod
    def of(
        cls, work: LabelWork, identity: Mapping[str, Any], policies: Mapping[str, str]
    ) -> Growth:
        """Return the growth that a labelling means."""
        wanted = Wanted(
            identity,
            tuple(work.outputs),
            False,
            layout_of_plan(work.source.bounds),
            work.fitted.n_columns,
            None if work.components is None else tuple(work.components),
            policies,
        )
        mark = label_mark(work.out)
        known = 0
        if mark is not None and is_created(mark):
            watched = mark.get(WATCH)
            if isinstance(watched, list) and type(watched[0]) is int:
                known = watched[0]
            elif mark.get("complete"):
                known = layout_of(mark, work.out)[0].shape[0]
        return cls(work.out, wanted, unprepared(work.source), known)

    @property
    def told(self) -> str:
        """What is labelled, in words."""
        assert self.wanted.layout is not None
        new, dim = self.wanted.layout.shape[0] - self.known, self.wanted.layout.dims[0]
        where = "rows" if dim == "row" else f"positions of {dim}"
        return f"{new:,} new {where} behind {self.known:,}"

    def begin(self, stamps: Mapping[str, str]) -> None:
        """Make room for the new rows, if there are labels of fewer rows."""
        if not to_be_extended(self.out, self.wanted):
            return
        mark = label_mark(self.out) or {}
        watched = mark.get(WATCH)
        if isinstance(watched, list) and watched[1] not in (None, self._watched(self.known)):
            raise RunMismatchError(
                f"The data have grown, but the {self.known:,} rows that have labels at {self.out} "
                "have changed as well. Nothing was changed. Label all rows in another place, or "
                "with --overwrite."
            )
        watch = watched or [self.known, self._watched(self.known)]
        extend_labels(self.out, self.wanted, stamps, watch)

    def left(self) -> tuple[list[int], list[Sums]]:
        """Return the blocks that may have no labels yet, and the sums of the others."""
        extended(self.out)
        mark = label_mark(self.out) or {}
        # Of blocks that are newer, some may be noted that have been extended since.
        settled = whole_blocks(layout_of(mark, self.out)[0], self.known)
        noted = read_progress(self.out)
        kept = noted.done < settled
        if mark.get("complete"):
            kept[:] = True
        others = set(noted.done[kept].tolist())
        blocks = [i for i in range(noted.blocks) if i not in others]
        return blocks, [sums_in(row) for row in noted.rows[kept]]

    def end(self) -> None:
        """Note which rows have labels now."""
        assert self.wanted.layout is not None
        rows = self.wanted.layout.shape[0]
        extended(self.out, [rows, self._watched(rows)])

    def _watched(self, rows: int) -> str | None:
        """Return what identifies the first `rows` positions of the data; None if nothing does."""
        source: Any = self.source
        if any(getattr(ref, "snapshot", None) for ref in source.refs):
            return None  # A snapshot cannot change, and a later one has another identity.
        if isinstance(source, GridSource):
            return digest(source.identity_of_rows(rows))
        found = [stored_identity(ref, (0, 0, rows)) for ref in source.refs]
        return digest([{k: v for k, v in one.items() if k != "array"} for one in found])
