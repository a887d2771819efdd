"""Whether the data of a run is still what it was surveyed to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.errors import RunMismatchError
from emdist.fit.events import Listener, Warned
from emdist.fit.survey import Survey
from emdist.interfaces import Source
from emdist.store.runs.codec import encode
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import differences
from emdist.store.sources.stamps import Stamped

#: Other kinds of CPU round sums otherwise in their last digits.
_ROUNDING = 1e-12


def stamps(source: Source) -> dict[str, str]:
    """Sizes and times of the data's files; empty where it lies in none."""
    return dict(source.stamps()) if isinstance(source, Stamped) else {}


def check_record(source: Source, record: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """RunMismatchError if size, number or sampled bytes of the files are others than recorded."""
    lines = differences(record.get("data"), dict(source.fingerprint()), "data")
    found = stamps(source)
    if known and known.get("sizes") != found.get("sizes"):
        lines.append("data: some file has another size")
    if lines:
        raise _changed("\n".join(f"  {line}" for line in lines))


@dataclass(frozen=True)
class Watch:
    """Whether the data of a run is still what was surveyed.

    Attributes
    ----------
    source
        The data.
    folder, epoch
        Of the run, and its owner.
    again
        Surveys all rows once more.
    listen
        Told when that is done.
    """

    source: Source
    folder: RunFolder
    epoch: int
    again: Callable[[], Survey]
    listen: Listener

    def check(self, survey: Survey) -> None:
        """RunMismatchError if the data is no longer what was surveyed.

        Costs a listing of its files; where their times are others (a copy has such) one pass.
        """
        known, found = self.folder.stamps(), stamps(self.source)
        if found == known:
            return
        check_record(self.source, self.folder.record(), known)
        self.listen(
            Warned(
                "The data's files are not those that were read before (a copy, or written "
                "again): all rows are read once more, to make sure that they are the same."
            )
        )
        check_same_survey(survey, self.again())
        self.folder.accept(found, self.epoch)


def untouched(source: Source, folder: RunFolder) -> bool:
    """Whether the data's files are those that the run in `folder` has last made sure of."""
    return stamps(source) == folder.stamps()


def check_same_survey(before: Survey, now: Survey) -> None:
    """RunMismatchError if a second read of all rows finds others than the first."""
    old, new = encode(before), encode(now)
    if old[1] == new[1] and old[0].keys() == new[0].keys():
        held = (name for name in old[0] if not name.endswith("/rest"))  # rounding, and no data
        wrong = [name for name in held if not _equal(old[0][name], new[0][name])]
    else:
        wrong = ["its layout"]
    if wrong:
        raise _changed(f"  its survey is another: {', '.join(sorted(wrong)[:6])}")


def _equal(a: Any, b: Any) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    scale = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING * scale, equal_nan=True))


def _changed(what: str) -> RunMismatchError:
    return RunMismatchError(
        f"The data changed while the run was at work or since:\n{what}\nThe checkpoints are of "
        "other data. Restore it, or start again with another run.key."
    )
