"""RunFolder: checkpoints and result of one fit, safe against crashes and second owners.

::

    run.json                                configuration, data fingerprint, block plan, versions
    stamps.json                             sizes and times of the data's files, as last read
    owners/<epoch>.json                     one per process that took the run over
    owners/<epoch>.beat                     replaced again and again while that process works
    <kind>/<sequence>-<epoch>-<nonce>/      state.safetensors, then manifest.json: the commit
    final/                                  model.safetensors, then model.json: the commit
    from/                                   the model that the run started from, if there is one
    plan.json                               how long the run was expected to take, if it was asked
    deleting.json                           only while the run is deleted; see `deletion`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emdist.errors import CheckpointError, EmdistError, NotFoundError, RunError, RunMismatchError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.places.files import Folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs import owners
from emdist.store.runs.checkpoints import Series
from emdist.store.runs.model_files import read_model
from emdist.store.runs.run_record import (
    RESULT,
    compare,
    extended,
    former,
    identity_differences,
    new_record,
)
from emdist.store.runs.sealed import Contents, document, read_document

#: Leftovers of killed writers are removed after so many seconds, when nobody can be writing them.
_STALE = 3600.0
_STAMPS = "stamps.json"
#: The file that says that a run is being deleted. It is written first and removed last.
TOMBSTONE = "deleting.json"
#: What was predicted of the run before it began.
PLAN = "plan.json"
#: The names of what a run stores in its folder. Labels and other files may be beside them.
OWN = (
    "ckpt",
    "survey",
    "prepare",
    "final",
    "from",
    "owners",
    "run.json",
    _STAMPS,
    "summary.json",
    "summary.md",
    "profile.json",
    "uncertainty.json",
    "combined.json",
    PLAN,
)
_TAKES_OVER = "{} holds another run, which ended before its first checkpoint; this run replaces it"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. No state is kept between calls: only the folder counts."""

    location: Location

    @property
    def folder(self) -> Folder:
        """The files of the run."""
        return open_folder(self.location)

    def create_or_check(self, record: Mapping[str, Any], extend: bool = False) -> list[str]:
        """Start the run, or check that it is the one that `record` describes.

        Parameters
        ----------
        record
            The record of the run; see `new_record`. It must not hold credentials, because it is
            stored and shown.
        extend
            Whether the run must exist already and may get other stop rules; see `extend`.

        Returns
        -------
        list of str
            Warnings: library versions that differ from those at the start of the run.

        Raises
        ------
        RunMismatchError
            If the folder belongs to another configuration or other data, or if it is no run folder
            and not empty. Nothing is changed. A run that failed or was killed before its first
            checkpoint is no obstacle: see `take_over`.
        CheckpointError
            If run.json is damaged or of a newer format.
        RunError
            If the run is being deleted.
        """
        self._check_kept()
        where = self.location.child("run.json")
        asked = new_record(record)
        for _ in range(2):
            try:
                stored = self.record()
                try:
                    return compare(stored, asked, where, extend)
                except RunMismatchError:
                    if extend or not self._is_stillborn():
                        raise
                    return [_TAKES_OVER.format(self.location)]
            except NotFoundError:
                if extend:
                    raise NotFoundError(
                        f"There is no run in {self.location} to extend. Give the run to continue, "
                        "or start a new run without extending."
                    ) from None
                if not self.folder.is_empty() and not self.folder.exists("run.json"):
                    raise RunMismatchError(
                        f"{self.location} is not empty and has no run.json, so it is not the "
                        "folder of a run. Nothing was changed. Use another run.key (an empty or "
                        "new folder)."
                    ) from None
            try:
                self.folder.create("run.json", document(asked))
                return []
            except FileExistsError:
                continue  # Another process was first, so compare with what it wrote.
        raise RunError(
            f"{where} was created and deleted again. Check whether something else deletes files "
            "of the run."
        )

    def _check_kept(self) -> None:
        """Raise RunError if the run is being deleted."""
        if self.folder.exists(TOMBSTONE):
            raise RunError(
                f"{self.location} is being deleted, or its deletion was cut off. To finish that, "
                f"enter `emdist runs rm {self.location}`. Or use another run.key (another folder)."
            )

    def _is_stillborn(self) -> bool:
        """Return whether the run has nothing of value, and no process is working on it."""
        return not self._has_value() and owners.is_free(self.folder)

    def _has_value(self) -> bool:
        made = ("summary.json", "final/model.json")
        found = any(self.folder.exists(name) for name in made)
        return found or Series(self.folder, "ckpt").exists()

    def take_over(self, record: Mapping[str, Any], epoch: int) -> None:
        """Make this the run of `record`, if another run ended here before its first checkpoint.

        Raise RunFencedError as `save` does, and RunMismatchError if the other run has one by now.
        """
        asked, stored = new_record(record), self.record()
        if identity_differences(stored, asked):
            if self._has_value():
                compare(stored, asked, self.location.child("run.json"))
            self.check_owner(epoch)
            # Delete the survey first: it belongs to the configuration in run.json.
            for name in ("survey", "prepare", _STAMPS):
                self.folder.delete(name)
            self.folder.write("run.json", document(asked))

    def extend(self, record: Mapping[str, Any], checkpoint: int, epoch: int) -> None:
        """Note that the run continues from `checkpoint` as `record` says; see `extended`.

        Raise RunFencedError as `save` does.
        """
        found = extended(self.record(), new_record(record), checkpoint)
        if found is not None:
            self.check_owner(epoch)
            self.folder.write("run.json", document(found))

    def vouch(self, files: Mapping[str, str], epoch: int) -> None:
        """Store the sha256 of each of the run's models, by the folder that holds it.

        Raise RunFencedError as `save` does.
        """
        stored = self.record()
        if stored.get(RESULT) != dict(files):
            self.check_owner(epoch)
            self.folder.write("run.json", document(stored | {RESULT: dict(files)}))

    def record(self) -> dict[str, Any]:
        """Return the contents of run.json. Raise NotFoundError or CheckpointError."""
        return read_document(self.folder, "run.json")

    def stamps(self) -> Mapping[str, Any]:
        """Return the stamps that the data had when the run last verified them; empty if unknown."""
        try:
            found = read_document(self.folder, _STAMPS)
        except (NotFoundError, CheckpointError):
            return {}  # The caller then looks at the data again.
        stamps = found.get("stamps")
        return stamps if isinstance(stamps, dict) else {}

    def accept(self, stamps: Mapping[str, Any], epoch: int) -> None:
        """Store `stamps` as those of the run's data. Raise RunFencedError as `save` does."""
        self.check_owner(epoch)
        self.folder.write(_STAMPS, document({"format": FORMAT_VERSION, "stamps": dict(stamps)}))

    def claim(self) -> int:
        """Take the run over. Return a new owner epoch, from 1 on; it fences off earlier owners."""
        self.folder.clean(age=_STALE)
        epoch = owners.claim(self.folder)
        self._check_claimed(epoch)
        return epoch

    def claim_after(self, epoch: int) -> int | None:
        """Take the run over from owner `epoch`; return None if another process was faster."""
        self.folder.clean(age=_STALE)
        claimed = owners.claim_after(self.folder, epoch)
        if claimed is not None:
            self._check_claimed(claimed)
        return claimed

    def _check_claimed(self, epoch: int) -> None:
        """Release a run that is being deleted, and raise RunError.

        Whoever deletes it says so first and then claims it. So of two, one notices the other.
        """
        try:
            self._check_kept()
        except EmdistError:
            owners.release(self.folder, epoch)
            raise

    def check_owner(self, epoch: int) -> None:
        """Raise RunFencedError if a later owner than `epoch` has claimed the run."""
        owners.check_owner(self.folder, epoch)

    def save(
        self,
        kind: str,
        sequence: int,
        arrays: Mapping[str, Array],
        meta: Mapping[str, Any],
        epoch: int,
        progress: Mapping[str, Any] | None = None,
    ) -> str:
        """Commit a checkpoint and return its sha256; see `Series.save`."""
        return Series(self.folder, kind).save(sequence, arrays, meta, epoch, progress)

    def load(self, kind: str) -> Contents | None:
        """Return the newest good checkpoint of this `kind`, or None; see `Series.load`."""
        return Series(self.folder, kind).load()

    def newest_checkpoint(self) -> int:
        """Return the sequence number of the newest checkpoint, unread; 0 if there is none."""
        return Series(self.folder, "ckpt").newest()

    def retain(
        self, kind: str, last: int = 3, every: int = 0, best: int | None = None, *, epoch: int
    ) -> None:
        """Delete all checkpoints but the last, every K-th and the best; see `Series.retain`."""
        Series(self.folder, kind).retain(last, every, best, epoch=epoch)

    def has_result(self) -> bool:
        """Return whether the run has a result of its present configuration.

        A result from before the run was extended does not count.
        """
        if not self.folder.exists("final/model.json"):
            return False
        stored = self.record()
        return stored.get(RESULT) is not None or not former(stored)

    def read_final(self) -> Contents | None:
        """Return the result of the run, or None if it has none yet.

        Raise CheckpointError if the result is damaged.
        """
        if not self.folder.exists("final/model.json"):
            return None
        return read_model(self.location.child("final"))
