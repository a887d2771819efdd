"""Retries: repeats requests to an object store in cases where obstore itself gives up.

obstore repeats a request after a 5xx answer, a dropped connection or, for reads, a timeout. It does
not repeat a request whose answer broke off during a listing or an error message, nor a conditional
put or a deletion that timed out. All of these can safely be made twice.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from emdist.runtime.tallies import tally

T = TypeVar("T")

_TRIES = 5
#: Seconds before the first repetition. Each pause is twice as long as the one before.
_PAUSE = 0.05
#: The message by which obstore says that it has repeated a request as often as allowed.
_EXHAUSTED = re.compile(r"after (\d+) retries, max_retries: \1\b")


def is_passing(error: BaseException) -> bool:
    """Return whether a request failed in transit, so that it may succeed when repeated."""
    if not type(error).__module__.startswith("obstore"):
        return False
    line = (str(error).splitlines() or [""])[0]
    return "HTTP error: " in line and not _EXHAUSTED.search(line)


def patiently(work: Callable[[], T]) -> T:
    """Return ``work()``, repeated up to four times while it fails in transit."""
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except Exception as error:  # obstore may not be installed: its errors are found by name
            if not is_passing(error):
                raise
        tally("retries")
        time.sleep(_pause(attempt))
    return work()


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do the same as `patiently` for a coroutine."""
    for attempt in range(_TRIES - 1):
        try:
            return await work()
        except Exception as error:  # as above
            if not is_passing(error):
                raise
        tally("retries")
        await asyncio.sleep(_pause(attempt))
    return await work()


def _pause(attempt: int) -> float:
    # Random, so that many workers that were cut off together do not return together.
    return _PAUSE * 2.0**attempt * (0.5 + random.random())


class Patient(WrapperStore[Store]):
    """A Zarr store that repeats requests as above. A listing is complete or fails."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return await _patiently(lambda: self._store.get(key, prototype, byte_range))

    async def getsize(self, key: str) -> int:
        return await _patiently(lambda: self._store.getsize(key))

    async def exists(self, key: str) -> bool:
        return await _patiently(lambda: self._store.exists(key))

    async def set(self, key: str, value: Buffer) -> None:
        await _patiently(lambda: self._store.set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        await _patiently(lambda: self._store.set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        await _patiently(lambda: self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        await _patiently(lambda: self._store.delete_dir(prefix))

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for name in await _patiently(lambda: _all(self._store.list_prefix(prefix))):
            yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await _patiently(lambda: _all(self._store.list_dir(prefix))):
            yield name


async def _all(names: AsyncIterator[str]) -> list[str]:
    return [name async for name in names]
