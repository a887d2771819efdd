"""Strict stores: wrappers for reading, which refuse what Zarr would read as the fill value."""

from __future__ import annotations

import asyncio

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from emdist.store.places.local_store import METADATA, RegularFiles
from emdist.store.places.zip_files import ZippedFiles


class AbsentChunk(Exception):  # noqa: N818  a signal from the store to the reader
    """An object that should hold a chunk does not exist. The argument is its key."""


class Filled(WrapperStore[Store]):
    """A store that refuses empty chunk objects: Zarr would read an empty shard as the fill value.

    From local files it reads at most `most` bytes at a time. A sparse file can claim any size and
    occupy almost no disk space.
    """

    most: int | None = None

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if (
            self.most is not None
            and isinstance(self._store, RegularFiles | ZippedFiles)
            and _is_chunk(key)
        ):
            await asyncio.to_thread(self._store.check_size, key, byte_range, self.most)
        value = await self._store.get(key, prototype, byte_range)
        if value is not None and len(value) == 0 and _is_chunk(key):
            raise ValueError("the object, or the requested part of it, is empty")
        return value


class Strict(Filled):
    """A store that raises AbsentChunk for missing chunks, which Zarr would read as the fill value.

    Missing chunks are found before a run begins. This class catches chunks that vanish later,
    without any further request.
    """

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is None and _is_chunk(key):
            raise AbsentChunk(key)
        return value


def _is_chunk(key: str) -> bool:
    return key.rpartition("/")[2] not in METADATA
