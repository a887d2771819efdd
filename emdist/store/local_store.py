"""Zarr's local store, for folders that come from elsewhere."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore


class RegularFiles(LocalStore):
    """A local store that reads regular files only: to open a pipe waits for ever."""

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        await asyncio.to_thread(_check, self.root / key)
        return await super().get(key, prototype, byte_range)


def _check(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return  # absent, which the store says in its own way
    except OSError as error:
        raise ValueError(f"{path} cannot be looked at: {error.strerror}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path} is a pipe, a socket or a device, and no file")
