"""Publications: what a series has published, and the pointer to the newest of it.

::

    current.json              the newest publication: the pointer, written last
    history/<number>.json     all publications. Creating one is the commit
    refused/<run>.json        runs whose model was not accepted
    models/<run>/             models that were accepted
    labels/<run>.zarr         the labels by each of them
    owners/                   who works on the series; see `emdist.store.runs.owners`
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emdist.errors import CheckpointError, NotFoundError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.places.files import Folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs import owners
from emdist.store.runs.sealed import document, read_document

_CURRENT = "current.json"
_NUMBERED = re.compile(r"\w+/(\d+)\.json")


def published(location: Location, what: str) -> Location:
    """Return where the published ``model`` or ``labels`` of the series in a folder are.

    Any other location is returned unchanged.

    Raises
    ------
    CheckpointError
        If the pointer is damaged.
    """
    if location.is_local and not location.path.is_dir():
        return location
    try:
        found = read_document(open_folder(location), _CURRENT).get(what)
    except NotFoundError:
        return location
    if not isinstance(found, str) or found.startswith(("/", ".")) or "://" in found:
        raise CheckpointError(
            f"{location.child(_CURRENT)} names no {what}: it was edited or damaged. Start the "
            "flow `emdist flow daily` again, which writes it anew from the folder history."
        )
    return _within(location, found)


def _within(location: Location, name: str) -> Location:
    for part in name.split("/"):
        location = location.child(part)
    return location


@dataclass(frozen=True)
class Publications:
    """What the series in one folder has published. No state is kept between calls."""

    location: Location

    @property
    def folder(self) -> Folder:
        """The files of the series."""
        return open_folder(self.location)

    def newest(self) -> dict[str, Any] | None:
        """Return the newest publication; None if there is none."""
        found = self._numbers("history")
        return read_document(self.folder, _name("history", found[-1])) if found else None

    def refused(self) -> dict[str, Any] | None:
        """Return what is noted of the newest run that was refused; None if there is none."""
        found = self._numbers("refused")
        return read_document(self.folder, _name("refused", found[-1])) if found else None

    def publish(self, values: Mapping[str, Any], epoch: int) -> dict[str, Any]:
        """Commit the next publication, and point to it; return it with its number.

        Raise RunFencedError if another process has taken the series over.
        """
        found = self._numbers("history")
        number = found[-1] + 1 if found else 1
        made = {**values, "format": FORMAT_VERSION, "number": number}
        owners.check_owner(self.folder, epoch)
        try:
            self.folder.create(_name("history", number), document(made))
        except FileExistsError:
            owners.check_owner(self.folder, epoch)  # It raises, because another was faster.
            raise
        self.folder.write(_CURRENT, document(made))
        return made

    def refuse(self, number: int, values: Mapping[str, Any], epoch: int) -> None:
        """Note that the model of the run `number` was not accepted."""
        owners.check_owner(self.folder, epoch)
        made = {**values, "format": FORMAT_VERSION, "run": number}
        self.folder.write(_name("refused", number), document(made))

    def point(self) -> None:
        """Point to the newest publication, if a process was killed before it did."""
        newest = self.newest()
        if newest is None:
            return
        try:
            if read_document(self.folder, _CURRENT) == newest:
                return
        except (NotFoundError, CheckpointError):
            pass
        self.folder.write(_CURRENT, document(newest))

    def model(self, run: int) -> Location:
        """Return where the model of a run is published."""
        return _within(self.location, model_name(run))

    def labels(self, run: int) -> Location:
        """Return where the labels by the model of a run are published."""
        return _within(self.location, labels_name(run))

    def _numbers(self, kind: str) -> list[int]:
        found = (_NUMBERED.fullmatch(name) for name in self.folder.list(kind))
        return sorted(int(one[1]) for one in found if one is not None)


def model_name(run: int) -> str:
    """Return the path of the model of a run within the folder of the series."""
    return f"models/{run:06d}"


def labels_name(run: int) -> str:
    """Return the path of the labels by that model within the folder of the series."""
    return f"labels/{run:06d}.zarr"


def _name(kind: str, number: int) -> str:
    return f"{kind}/{number:06d}.json"
