"""Checkpoints of one kind: committed whole, verified when read, retained by rule."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emdist.errors import CheckpointError, NewerFormatError, NotFoundError, StorageError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.places.files import Folder
from emdist.store.runs.owners import check_owner
from emdist.store.runs.sealed import (
    MANIFEST_LIMIT,
    Saved,
    Seal,
    document,
    pack,
    parse,
    read_sealed,
    seals,
)

log = logging.getLogger(__name__)

_STATE = "state.safetensors"
_MANIFEST = "manifest.json"
_CHECKPOINT = re.compile(r"(\d{8,})-(\d+)-([0-9a-f]{8})")


@dataclass(frozen=True, order=True)
class _Entry:
    """A checkpoint by name; the last in order is the newest.

    A later owner's comes first, however far an older one got that did not know that it was
    replaced: its checkpoint may be committed after the later owner has begun.
    """

    epoch: int
    sequence: int
    name: str
    complete: bool


@dataclass(frozen=True)
class Series:
    """The checkpoints ``<kind>/<sequence>-<epoch>-<nonce>/`` of a run folder.

    The sequence number says how far the run is, the epoch whose work it is, and the nonce keeps
    a checkpoint that is written again apart from the first try.
    """

    folder: Folder
    kind: str

    def save(
        self,
        sequence: int,
        arrays: Mapping[str, Array],
        meta: Mapping[str, Any],
        epoch: int,
    ) -> str:
        """Commit checkpoint number `sequence` of this `kind`; durable when this returns.

        Returns
        -------
        str
            sha256 of the state: equal for equal `arrays` and `meta`.

        Raises
        ------
        RunFencedError
            If the run has another owner by now; the checkpoint does not exist then.
        StorageError
            If it could not be written; earlier checkpoints are untouched.
        """
        state = pack(arrays, meta)
        seal = Seal.of(state)
        manifest = {
            "format": FORMAT_VERSION,
            "kind": self.kind,
            "sequence": sequence,
            "epoch": epoch,
            "files": {_STATE: [seal.entry()]},
        }
        name = f"{self.kind}/{sequence:08d}-{epoch}-{secrets.token_hex(4)}"
        files = {_STATE: state, _MANIFEST: document(manifest)}
        try:
            self.folder.publish(name, files, lambda: check_owner(self.folder, epoch))
        except StorageError:
            check_owner(self.folder, epoch)  # a new owner may have cleaned up below our feet
            raise
        return seal.sha256

    def load(self) -> Saved | None:
        """The newest good checkpoint of this `kind`, or None if there never was one.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none of them is good: never starts over silently.
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
                    raise  # falling back would fork the history that a newer emdist wrote
                except (CheckpointError, NotFoundError, StorageError) as error:
                    problems.append(error)
                    log.warning("skipping checkpoint %s/%s: %s", self.kind, entry.name, error)
            # Retention of a live owner may have removed what was listed: look once more.
            again = self._entries()
            if again == entries:
                break
            entries = again
        # In an object store a writer killed before its first commit leaves a state and no
        # manifest; a local rename is atomic, so there a missing manifest is damage.
        if not any(entry.complete or self.folder.location.is_local for entry in entries):
            return None
        raise self._none_good(problems)

    def exists(self) -> bool:
        """Whether there is any checkpoint of this `kind`, good or damaged."""
        # In an object store, what was never committed is none; see `load`.
        is_local = self.folder.location.is_local
        return any(entry.complete or is_local for entry in self._entries())

    def retain(self, last: int = 3, every: int = 0, best: int | None = None, *, epoch: int) -> None:
        """Delete checkpoints of this `kind` but the last ones, every K-th and the best.

        Parameters
        ----------
        last
            How many of the newest sequence numbers to keep, at least 1.
        every
            Keep those whose sequence number is a multiple of this; 0 for none.
        best
            Sequence number to keep, or None.
        epoch
            From `claim`. RunFencedError if the run has another owner by now.
        """
        if last < 1:
            raise ValueError(f"retention must keep at least 1 checkpoint, got last={last}")
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
                # The manifest goes first, so that a kill in between leaves no half that counts.
                self.folder.delete(f"{self.kind}/{entry.name}/{_MANIFEST}")
                self.folder.delete(f"{self.kind}/{entry.name}")
        self.folder.clean(self.kind)

    def _none_good(self, problems: list[Exception]) -> Exception:
        for problem in problems:
            if isinstance(problem, StorageError):
                return problem
        return CheckpointError(
            f"none of the {len(problems)} checkpoints in {self.folder.location.child(self.kind)} "
            f"is good; the newest: {problems[0]} Restore the folder from a copy, or use another "
            "run key to start from the beginning."
        )

    def _load(self, entry: _Entry) -> Saved:
        name = f"{self.kind}/{entry.name}"
        where = self.folder.location.child(name)
        if not entry.complete:
            raise CheckpointError(f"{where} has no {_MANIFEST}: it was never committed.")
        manifest = parse(self.folder.read(f"{name}/{_MANIFEST}", MANIFEST_LIMIT), where)
        told = (manifest.get("kind"), manifest.get("sequence"), manifest.get("epoch"))
        if told != (self.kind, entry.sequence, entry.epoch):
            raise CheckpointError(f"{where} has the manifest of {told}: it is damaged.")
        # File names are ours, never the manifest's: it cannot lead a reader elsewhere.
        accepted = seals(manifest, _STATE, where)
        found = read_sealed(self.folder, f"{name}/{_STATE}", accepted, where)
        return replace(found, sequence=entry.sequence, epoch=entry.epoch)

    def _entries(self) -> list[_Entry]:
        """Checkpoints of this kind, oldest first, whether they are good or not."""
        files: dict[str, set[str]] = {}
        for path in self.folder.list(self.kind):
            name, _, file = path.removeprefix(f"{self.kind}/").partition("/")
            files.setdefault(name, set()).add(file)
        matches = [(_CHECKPOINT.fullmatch(name), inside) for name, inside in files.items()]
        return sorted(
            _Entry(int(match[2]), int(match[1]), match[0], _MANIFEST in inside)
            for match, inside in matches
            if match
        )


def _line(entries: list[_Entry]) -> dict[int, _Entry]:
    """What led to the newest checkpoint, by sequence number: not what an older owner did too.

    `entries` are in order.
    """
    line: dict[int, _Entry] = {}
    for entry in reversed(entries):
        later = min((n for n, one in line.items() if one.epoch > entry.epoch), default=None)
        if entry.complete and (later is None or entry.sequence < later):
            line.setdefault(entry.sequence, entry)
    return line
