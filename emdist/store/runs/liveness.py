"""Whether the owner of a run is at work: owners write a beat, and others watch whether it changes.

An owner replaces its beat every `EVERY` seconds. Another process reads the beat again and again. If
it does not change for `SILENCE` seconds, its owner counts as dead. Only the watching process
measures time, by its own clock, so clocks that differ do not matter. The beat decides who waits for
whom. It does not protect the run: an owner that only seemed dead is fenced off by its epoch.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from emdist.errors import EmdistError, NotFoundError
from emdist.store.places.files import Folder
from emdist.store.runs import owners

log = logging.getLogger(__name__)

#: Seconds between two beats of an owner.
EVERY = 10.0
#: Seconds without a new beat after which an owner counts as dead.
SILENCE = 60.0
#: Seconds without a new beat, by the clocks of two machines, after which its owner certainly ended.
CERTAIN = 1800.0
#: Seconds between two looks at the beat of another process.
LOOK = 1.0
#: Bytes of a beat, at most.
_LIMIT = 1024


@contextmanager
def beating(folder: Folder, epoch: int) -> Iterator[None]:
    """Inside, write the beat of owner `epoch`. At the end, note that it has ended its work.

    If an error ends it, the note says which.
    """
    over = threading.Event()
    beats = threading.Thread(target=_beat, args=(folder, epoch, over), daemon=True)
    beats.start()
    error = ""
    try:
        yield
    except Exception as failure:
        error = _noted(failure)
        raise
    finally:
        over.set()
        # A beat that is being written must not come back after it was deleted.
        beats.join(EVERY)
        owners.release(folder, epoch, error)
        with suppress(EmdistError):
            folder.delete(_name(epoch))


def _noted(failure: Exception) -> str:
    """Return an error as it is noted. Messages of other packages may quote credentials."""
    name = type(failure).__name__
    return f"{name}: {failure}" if isinstance(failure, EmdistError) else name


def _beat(folder: Folder, epoch: int, over: threading.Event) -> None:
    count, failed = 0, False
    while not over.is_set():
        count += 1
        try:
            if not owners.is_claimed(folder, epoch):
                return  # The run was deleted: nothing may be written there any more.
            # The count alone would repeat if the process wrote, failed and started to count again.
            beat = {"beat": count, "nonce": secrets.token_hex(8)}
            folder.write(_name(epoch), json.dumps(beat).encode())
        except EmdistError as error:
            if not failed:
                log.warning("cannot write the beat of the run, which continues: %s", error)
            failed = True
        over.wait(EVERY)


def _name(epoch: int) -> str:
    return f"owners/{epoch:08d}.beat"


def is_at_work(
    owner: Mapping[str, Any], epoch: int, written: Mapping[str, float], now: float
) -> bool | None:
    """Return whether an owner works on its run, from one look at it; None if that is not known.

    Parameters
    ----------
    owner
        What the owner `epoch` stored.
    written
        When each file of the run was last written, by name, in seconds since 1970.
    now
        The time of this machine. Clocks may differ by minutes, so `CERTAIN` is long.
    """
    known = owners.is_at_work(owner)
    beat = written.get(_name(epoch))
    if known is not None or beat is None:
        return known
    silent = now - beat
    return True if silent < SILENCE else (False if silent > CERTAIN else None)


class Found(Enum):
    """What is known of the owner of a run."""

    FREE = auto()
    UNKNOWN = auto()
    AT_WORK = auto()


@dataclass
class OwnerWatch:
    """Tells whether a run has an owner at work, from what has changed since the first look.

    It has state, what it saw last and when that changed.
    """

    folder: Folder
    clock: Callable[[], float] = time.monotonic
    epoch: int = 0
    _beat: bytes | None = None
    _since: float | None = None
    _found: Found = Found.UNKNOWN

    def look(self) -> Found:
        """Read the newest owner and its beat once."""
        epoch = owners.newest_epoch(self.folder)
        if epoch == 0 or owners.has_ended(self.folder, epoch):
            self.epoch, self._since, self._found = epoch, None, Found.FREE
            return self._found
        beat, now = self._read(epoch), self.clock()
        if self._since is None:
            self._since, self._found = now, Found.UNKNOWN
        elif (epoch, beat) != (self.epoch, self._beat):
            # A new beat, or a new owner: somebody was at work a moment ago.
            self._since, self._found = now, Found.AT_WORK
        elif now - self._since >= SILENCE:
            self._found = Found.FREE
        self.epoch, self._beat = epoch, beat
        return self._found

    def owner(self) -> str:
        """Return who the owner is, for messages."""
        return owners.describe(self.folder, self.epoch)

    def _read(self, epoch: int) -> bytes | None:
        try:
            return self.folder.read(_name(epoch), _LIMIT)
        except NotFoundError:
            return None  # It has not written one yet, or is of an earlier version of emdist.
