"""Checks that the data of a run are still those that were surveyed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import DataError, RunMismatchError
from emdist.fit.events import Listener, Warned
from emdist.fit.survey import Survey
from emdist.interfaces import Source
from emdist.store.runs.codec import encode
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import differences, grown
from emdist.store.sources.stamps import Stamped

#: Relative tolerance: other kinds of CPU round sums differently in their last digits.
_ROUNDING = 1e-12


def stamps(source: Source) -> dict[str, str]:
    """Return sizes and times of the files of the data; empty if the data are not in files."""
    return dict(source.stamps()) if isinstance(source, Stamped) else {}


def check_unwritten(source: Source, before: Mapping[str, str]) -> None:
    """Raise DataError if the files of the data were written while a fit read them.

    `before` are the stamps of `source` before the first pass. A fit that keeps no record of its
    data has nothing else to compare them with.
    """
    if stamps(source) != before:
        raise DataError(
            "The files of the data were written while emdist fitted them, so the fit would be of "
            "neither the old nor the new data. Wait until the data are complete, then fit again."
        )


def check_record(source: Source, record: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise RunMismatchError if size, number or sampled bytes of files differ from the record."""
    present = dict(source.fingerprint())
    lines = differences(record.get("data"), present, "data")
    found = stamps(source)
    if known and known.get("sizes") != found.get("sizes"):
        lines.append("data: the size of a file changed")
    if lines:
        raise _changed("\n".join(f"  {line}" for line in lines), grown(record, {"data": present}))


@dataclass(frozen=True)
class Watch:
    """Checks whether the data of a run are still those that were surveyed.

    Attributes
    ----------
    source
        The data.
    folder, epoch
        The folder of the run, and the epoch of its owner.
    again
        Surveys all rows once more.
    listen
        Called with a warning when that happens.
    """

    source: Source
    folder: RunFolder
    epoch: int
    again: Callable[[], Survey]
    listen: Listener

    def check(self, survey: Survey) -> None:
        """Raise RunMismatchError if the data are not those that were surveyed.

        This costs a listing of the files. If their times differ, as those of a copy do, it also
        costs one pass.
        """
        known, found = self.folder.stamps(), stamps(self.source)
        if found == known:
            return
        check_record(self.source, self.folder.record(), known)
        self.listen(
            Warned(
                "The files of the data were copied or written again since they were last read. "
                "emdist reads all rows once more, to check that they are the same."
            )
        )
        check_same_survey(survey, self.again())
        self.folder.accept(found, self.epoch)


def untouched(source: Source, folder: RunFolder) -> bool:
    """Return whether the files are still those that the run in `folder` checked last."""
    return stamps(source) == folder.stamps()


def check_same_survey(before: Survey, now: Survey) -> None:
    """Raise RunMismatchError if a second survey of all rows differs from the first."""
    old, new = encode(before), encode(now)
    if old[1] == new[1] and old[0].keys() == new[0].keys():
        held = (name for name in old[0] if not name.endswith("/rest"))  # `rest` is only rounding
        wrong = [name for name in held if not _equal(old[0][name], new[0][name])]
    else:
        wrong = ["layout"]
    if wrong:
        raise _changed(f"  the survey of the rows differs: {', '.join(sorted(wrong)[:6])}")


def _equal(a: Any, b: Any) -> bool:
    """Return whether two arrays of a survey are equal up to rounding."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    scale = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING * scale, equal_nan=True))


def _changed(what: str, remedy: str = "") -> RunMismatchError:
    remedy = remedy or "Restore the data, or start a new run with another run.key."
    return RunMismatchError(
        f"The data changed during the run or after it:\n{what}\nThe checkpoints belong to the "
        f"data as they were. {remedy}"
    )
