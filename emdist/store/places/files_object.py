"""ObjectFolder: a folder in an object store, where puts are atomic and nothing is renamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from emdist.errors import CheckpointError
from emdist.store.places.entries import Entry
from emdist.store.places.faults import object_told
from emdist.store.places.location import Location, check_name, open_object_store
from emdist.store.places.retries import patiently

#: The most objects that are deleted one after another. A checkpoint has two.
_MANY = 32


@dataclass(frozen=True)
class ObjectFolder:
    """Objects below a URL. Every put is whole and durable, so only the order of puts matters."""

    location: Location

    def _at(self, name: str) -> tuple[Any, str]:
        """Return the store, and the key of `name` in it.

        Raise ConfigError if obstore is not installed.
        """
        if name:
            check_name(name)
        if self.location.scheme != "memory":
            return open_object_store(self.location), name
        # obstore's memory store has no prefixes, so children share the store of their "bucket".
        bucket, _, prefix = self.location.url.removeprefix("memory://").partition("/")
        key = "/".join(part for part in (prefix, name) if part)
        return open_object_store(Location(f"memory://{bucket}")), key

    def _where(self, name: str) -> str:
        return str(self.location.child(name) if name else self.location)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return all bytes of `name`.

        Raise NotFoundError if there is no such object, and CheckpointError if it has over `limit`
        bytes.
        """
        store, key = self._at(name)
        with object_told("read", self._where(name)):
            return patiently(lambda: self._get(store.get(key), name, limit))

    def _get(self, found: Any, name: str, limit: int | None) -> bytes:
        size = found.meta["size"]
        if limit is not None and size > limit:
            raise CheckpointError(
                f"{self._where(name)} has {size} bytes, expected at most {limit}."
            )
        return bytes(found.bytes())

    def write(self, name: str, data: bytes) -> None:
        """Write or replace `name`."""
        store, key = self._at(name)
        with object_told("write", self._where(name)):
            patiently(lambda: store.put(key, data))

    def create(self, name: str, data: bytes) -> None:
        """Write `name` if it does not exist, else raise FileExistsError.

        Of two writers one succeeds.
        """
        store, key = self._at(name)
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with object_told("write", self._where(name)):
            try:
                # A multipart upload cannot be conditional, whatever its size.
                patiently(lambda: store.put(key, data, mode="create", use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                raise FileExistsError(f"{self._where(name)} exists already") from None

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[], None]) -> None:
        """Write `files` below `name`.

        The last one, written after `check()`, is a conditional put.
        """
        *early, last = files
        for file in early:
            self.write(f"{name}/{file}", files[file])
        check()
        try:
            self.create(f"{name}/{last}", files[last])
        except FileExistsError:
            # If the answer to a put is lost, the put is sent again and then finds its own object.
            if self.read(f"{name}/{last}") != files[last]:
                raise

    def list(self, prefix: str = "") -> list[str]:
        """Return the sorted names of all objects below `prefix`."""
        return [entry.name for entry in self.entries(prefix)]

    def entries(self, prefix: str = "") -> Sequence[Entry]:
        """Return all objects below `prefix`, with sizes and times, in the order of their names."""
        store, key = self._at(prefix)
        above = len(key) - len(prefix)
        with object_told("list", self._where(prefix)):
            found = patiently(lambda: store.list(key or None).collect())
            made = [
                Entry(
                    meta["path"][above:].lstrip("/"),
                    int(meta["size"]),
                    meta["last_modified"].timestamp(),
                )
                for meta in found
            ]
        return sorted(made, key=lambda entry: entry.name)

    def is_empty(self) -> bool:
        """Return whether there are only hidden objects."""
        store, key = self._at("")

        def look() -> bool:
            for batch in store.list(key or None):
                names = (meta["path"][len(key) :].lstrip("/") for meta in batch)
                if not all(name.startswith(".") for name in names):
                    return False
            return True

        with object_told("list", self._where("")):
            return patiently(look)

    def exists(self, name: str) -> bool:
        """Return whether there is an object `name`."""
        store, key = self._at(name)
        with object_told("examine", self._where(name)):
            try:
                patiently(lambda: store.head(key))
            except FileNotFoundError:
                return False
        return True

    def delete(self, name: str) -> None:
        """Remove the object `name` and all objects below it, if there are any."""
        store, own = self._at(name)
        keys = sorted({own, *(self._at(one)[1] for one in self.list(name))})
        with object_told("delete", self._where(name)):
            if len(keys) > _MANY:  # They are labels: the store deletes many in one request.
                below = [key for key in keys if key != own]
                with suppress(FileNotFoundError):
                    patiently(lambda: store.delete(below))
                keys = [own]
            # In this order, a checkpoint's manifest is deleted before its state.
            for key in keys:
                with suppress(FileNotFoundError):
                    patiently(partial(store.delete, key))

    def clean(self, prefix: str = "", age: float = 0.0) -> None:
        """Do nothing: a put that was cut off leaves no object."""
