"""Checkpoints of one kind: saved atomically, verified on reading, deleted by retention rules."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emdist.errors import CheckpointError, NewerFormatError, NotFoundError, StorageError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.places.files import Folder
from emdist.store.runs.owners import check_owner
from emdist.store.runs.sealed import (
    MANIFEST_LIMIT,
    Contents,
    Seal,
    document,
    pack,
    parse,
    read_document,
    read_sealed,
    seals,
)

log = logging.getLogger(__name__)

_STATE = "state.safetensors"
_MANIFEST = "manifest.json"
_CHECKPOINT = re.compile(r"(\d{8,})-(\d+)-([0-9a-f]{8})")


@dataclass(frozen=True, order=True)
class _Entry:
    """A checkpoint, by its name. In sorted order, the last one is the newest.

    A later owner's checkpoints are newer than those of an earlier owner, however far the earlier
    one got. An owner that does not know that it was replaced may still commit a checkpoint after
    the later owner has begun.
    """

    epoch: int
    sequence: int
    name: str
    complete: bool


@dataclass(frozen=True)
class Series:
    """The checkpoints ``<kind>/<sequence>-<epoch>-<nonce>/`` of a run folder.

    The sequence number says how far the run is, and the epoch which owner made the checkpoint. The
    nonce distinguishes attempts to write the same checkpoint.
    """

    folder: Folder
    kind: str

    def save(
        self,
        sequence: int,
        arrays: Mapping[str, Array],
        meta: Mapping[str, Any],
        epoch: int,
        progress: Mapping[str, Any] | None = None,
    ) -> str:
        """Commit checkpoint number `sequence` of this `kind`. It is durable when this returns.

        `progress` says how far the run is, in JSON values, for those who list runs and do not read
        the state.

        Returns
        -------
        str
            The sha256 of the state, equal for equal `arrays` and `meta`.

        Raises
        ------
        RunFencedError
            If the run has another owner by now. The checkpoint does not exist then.
        StorageError
            If it could not be written. Earlier checkpoints are unchanged.
        """
        state = pack(arrays, meta)
        seal = Seal.of(state)
        manifest = {
            "format": FORMAT_VERSION,
            "kind": self.kind,
            "sequence": sequence,
            "epoch": epoch,
            "files": {_STATE: [seal.entry()]},
            **({"progress": dict(progress)} if progress is not None else {}),
        }
        name = f"{self.kind}/{sequence:08d}-{epoch}-{secrets.token_hex(4)}"
        files = {_STATE: state, _MANIFEST: document(manifest)}
        try:
            self.folder.publish(name, files, lambda: check_owner(self.folder, epoch))
        except StorageError:
            # A new owner may have removed our temporary files meanwhile.
            check_owner(self.folder, epoch)
            raise
        return seal.sha256

    def load(self) -> Contents | None:
        """Return the newest good checkpoint of this `kind`, or None if there never was one.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none of them is good. A run never starts over silently.
        StorageError
            If they could not be read.
        """
        entries = self._entries()
        while True:
            problems: list[Exception] = []
            for entry in reversed(entries):
                try:
                    return self._load(entry)
                except NewerFormatError:
                    raise  # An older checkpoint would fork the history that a newer emdist wrote.
                except (CheckpointError, NotFoundError, StorageError) as error:
                    problems.append(error)
                    log.warning("skipping the checkpoint %s/%s: %s", self.kind, entry.name, error)
            # Retention of an active owner may have removed checkpoints after they were listed: look
            # once more.
            again = self._entries()
            if again == entries:
                break
            entries = again
        # In an object store, a writer that was killed before its first commit leaves a state
        # without a manifest. A local rename is atomic, so there a missing manifest is damage.
        if not any(entry.complete or self.folder.location.is_local for entry in entries):
            return None
        raise self._none_good(problems)

    def exists(self) -> bool:
        """Return whether there is any checkpoint of this `kind`, good or damaged."""
        # In an object store, what was never committed does not count; see `load`.
        is_local = self.folder.location.is_local
        return any(entry.complete or is_local for entry in self._entries())

    def newest(self) -> int:
        """Return the sequence number of the newest complete checkpoint; 0 if there is none."""
        return max((entry.sequence for entry in self._entries() if entry.complete), default=0)

    def retain(self, last: int = 3, every: int = 0, best: int | None = None, *, epoch: int) -> None:
        """Delete checkpoints of this `kind`, except the last ones, every K-th one and the best.

        Parameters
        ----------
        last
            How many of the newest sequence numbers to keep, at least 1.
        every
            Keep those whose sequence number is a multiple of this; 0 for none.
        best
            A sequence number to keep, or None.
        epoch
            The owner epoch from `claim`. If the run has another owner by now, RunFencedError is
            raised.
        """
        if last < 1:
            raise ValueError(f"last={last}; expected at least 1 checkpoint to keep")
        check_owner(self.folder, epoch)
        entries = self._entries()
        newest = _line(entries)
        keep = {
            *sorted(newest)[-last:],
            *(number for number in newest if every and number % every == 0),
            *(number for number in newest if number == best),
        }
        for entry in entries:
            if entry == newest.get(entry.sequence) and entry.sequence in keep:
                continue
            if entry.complete or entry.epoch <= epoch:
                # Delete the manifest first, so that a kill in between leaves nothing that counts as
                # committed.
                self.folder.delete(f"{self.kind}/{entry.name}/{_MANIFEST}")
                self.folder.delete(f"{self.kind}/{entry.name}")
        self.folder.clean(self.kind)

    def progress_in(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what the newest complete checkpoint says of the progress; empty if it is unknown.

        `names` are those of the files of the run. The checkpoint's state is not read.
        """
        done = [one for one in self._entries_in(names) if one.complete]
        if not done:
            return {}
        name = f"{self.kind}/{done[-1].name}/{_MANIFEST}"
        try:
            found = read_document(self.folder, name).get("progress")
        except (CheckpointError, NotFoundError):
            return {}
        return found if isinstance(found, dict) else {}

    def _none_good(self, problems: list[Exception]) -> Exception:
        """Return the error if no checkpoint is good. A failure of the store takes precedence."""
        for problem in problems:
            if isinstance(problem, StorageError):
                return problem
        return CheckpointError(
            f"none of the {len(problems)} checkpoints in {self.folder.location.child(self.kind)} "
            f"can be used. The problem of the newest: {problems[0]} Restore the folder from a "
            "copy, or use another run.key to start from the beginning."
        )

    def _load(self, entry: _Entry) -> Contents:
        """Read and verify a checkpoint. Raise CheckpointError if it is incomplete or damaged."""
        name = f"{self.kind}/{entry.name}"
        where = self.folder.location.child(name)
        if not entry.complete:
            raise CheckpointError(f"{where} has no {_MANIFEST}, so it was not written to its end.")
        manifest = parse(self.folder.read(f"{name}/{_MANIFEST}", MANIFEST_LIMIT), where)
        told = (manifest.get("kind"), manifest.get("sequence"), manifest.get("epoch"))
        if told != (self.kind, entry.sequence, entry.epoch):
            raise CheckpointError(f"{where} is damaged: it has the manifest of checkpoint {told}.")
        # File names are ours, never the manifest's: it cannot lead a reader elsewhere.
        accepted = seals(manifest, _STATE, where)
        found = read_sealed(self.folder, f"{name}/{_STATE}", accepted, where)
        return replace(found, sequence=entry.sequence, epoch=entry.epoch)

    def _entries(self) -> list[_Entry]:
        """Return the checkpoints of this kind, oldest first, good or not."""
        return self._entries_in(self.folder.list(self.kind))

    def _entries_in(self, names: Iterable[str]) -> list[_Entry]:
        """Do the same for a folder that has files of these `names`."""
        files: dict[str, set[str]] = {}
        for path in names:
            if not path.startswith(f"{self.kind}/"):
                continue
            name, _, file = path.removeprefix(f"{self.kind}/").partition("/")
            files.setdefault(name, set()).add(file)
        matches = [(_CHECKPOINT.fullmatch(name), inside) for name, inside in files.items()]
        return sorted(
            _Entry(int(match[2]), int(match[1]), match[0], _MANIFEST in inside)
            for match, inside in matches
            if match
        )


def _line(entries: list[_Entry]) -> dict[int, _Entry]:
    """Return the checkpoints that led to the newest one, by sequence number.

    Checkpoints of an earlier owner that a later owner has repeated are left out. `entries` are
    sorted.
    """
    line: dict[int, _Entry] = {}
    for entry in reversed(entries):
        later = min((n for n, one in line.items() if one.epoch > entry.epoch), default=None)
        if entry.complete and (later is None or entry.sequence < later):
            line.setdefault(entry.sequence, entry)
    return line
