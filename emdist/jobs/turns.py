"""What a process does if another one is working on its run: take it over, wait for it, or skip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from emdist.errors import SkippedError
from emdist.fit.events import Began, Listener
from emdist.parameters.choices import IfRunning
from emdist.report.outlook import duration
from emdist.store.runs import liveness
from emdist.store.runs.liveness import Found, OwnerWatch
from emdist.store.runs.run_folder import RunFolder

#: Seconds until a waiting process says again that it waits: the first interval, the longest.
_PATIENCE = (60.0, 3600.0)


@contextmanager
def turn(folder: RunFolder, if_running: IfRunning, listen: Listener) -> Iterator[int | None]:
    """Own the run inside, once no other process is working on it; yield the owner epoch.

    Yield None for "take_over": the run is then claimed when its cluster is ready, so that the
    other process works until then.

    Raises
    ------
    SkippedError
        If another process is at work and `if_running` is "skip".
    """
    if if_running == "take_over":
        yield None
        return
    epoch = _claimed(folder, if_running, listen)
    with liveness.beating(folder.folder, epoch):
        yield epoch


def _claimed(folder: RunFolder, if_running: IfRunning, listen: Listener) -> int:
    """Wait until nobody is working on the run, and claim it."""
    watch = OwnerWatch(folder.folder)
    began = told = time.monotonic()
    patience = 0.0
    while True:
        found = watch.look()
        if found is Found.FREE:
            epoch = folder.claim_after(watch.epoch)
            if epoch is not None:
                return epoch
            continue  # Another process was faster, so watch that one.
        if found is Found.AT_WORK and if_running == "skip":
            raise SkippedError(
                f"Skipped: another process is working on {folder.location}, {watch.owner()}. "
                "Nothing was done, because run.if_running is 'skip'."
            )
        now = time.monotonic()
        if now - told >= patience:
            patience = min(max(2 * patience, _PATIENCE[0]), _PATIENCE[1])
            told = now
            listen(Began("wait", _note(folder, watch, found, now - began)))
        time.sleep(liveness.LOOK)


def _note(folder: RunFolder, watch: OwnerWatch, found: Found, seconds: float) -> str:
    where, saved = folder.location, folder.newest_checkpoint()
    reached = f" Its newest checkpoint is number {saved}." if saved else ""
    if found is Found.AT_WORK:
        waited = f" Waited for {duration(seconds)}." if seconds >= 1 else ""
        return f"another process is working on {where}, {watch.owner()}.{reached}{waited}"
    return (
        f"{where} is claimed by {watch.owner()}. Looking for up to {liveness.SILENCE:.0f} s "
        f"whether it is at work.{reached}"
    )
