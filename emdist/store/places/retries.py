"""Requests to an object store that are made again where obstore itself gives up.

obstore repeats what a 5xx, a dropped connection or, for what only reads, a timeout ended. It does
not repeat a request whose answer broke off in the middle of a listing or of an error, nor a
conditional put or a deletion that timed out. All of these can be made twice.
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

T = TypeVar("T")

_TRIES = 5
#: Seconds before the first repetition; doubled each time.
_PAUSE = 0.05
#: How obstore says that it has repeated a request as often as it was allowed to.
_EXHAUSTED = re.compile(r"after (\d+) retries, max_retries: \1\b")


def is_passing(error: BaseException) -> bool:
    """Whether a request failed on its way, so that it may succeed when made again."""
    if not type(error).__module__.startswith("obstore"):
        return False
    line = (str(error).splitlines() or [""])[0]
    return "HTTP error: " in line and not _EXHAUSTED.search(line)


def patiently(work: Callable[[], T]) -> T:
    """``work()``, repeated a few times while it fails on its way."""
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except Exception as error:  # of obstore, which need not be installed: told by its name
            if not is_passing(error):
                raise
        time.sleep(_pause(attempt))
    return work()


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    for attempt in range(_TRIES - 1):
        try:
            return await work()
        except Exception as error:  # as above
            if not is_passing(error):
                raise
        await asyncio.sleep(_pause(attempt))
    return await work()


def _pause(attempt: int) -> float:
    # Spread, so that many workers that were cut off together do not return together.
    return _PAUSE * 2.0**attempt * (0.5 + random.random())


class Patient(WrapperStore[Store]):
    """A Zarr store whose requests are repeated as above; a listing is whole or fails."""

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
