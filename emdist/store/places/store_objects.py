"""Zarr stores that a user opened: how they are named, read, and sent to workers.

Any class of store is possible: in memory, fsspec, obstore, Icechunk sessions, or a user's own.
Classes of other packages are recognised by name, and none of these packages is imported.
"""

from __future__ import annotations

import pickle
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from zarr.abc.store import Store
from zarr.storage import MemoryStore, WrapperStore

from emdist.errors import EngineError
from emdist.inputs.foreign import is_a
from emdist.inputs.quoting import without_credentials
from emdist.store.places.retries import Patient

T = TypeVar("T")

#: How many characters of a store's name are shown, and how many of why it cannot be pickled.
_SHOWN = 120
#: Bytes. A store that pickles to more holds its data itself, and is not sent to workers.
_SENDABLE = 1 << 20


class ReadOnly(Patient):
    """A store that is only read, although the user may write to it elsewhere."""

    @property
    def read_only(self) -> bool:
        return True

    def with_read_only(self, read_only: bool = False) -> ReadOnly:
        if not read_only:
            raise ValueError(f"{self._store} is only read here")
        return self


class StoreObject:
    """A store that a user opened. A copy that comes back to its process is the same object.

    It remembers what was opened in it, so that a worker opens an array once and not once per pass.

    Attributes
    ----------
    token
        A name of the object that no other object has, in any process.
    name
        What messages call the store, without credentials.
    snapshot
        The ID of the Icechunk snapshot that a read-only session reads; "" for anything else.
    """

    def __init__(self, store: Store, token: str = "") -> None:
        self._given = store
        self.store: Store = ReadOnly(store)
        self.token = token or uuid.uuid4().hex
        self.snapshot = _snapshot(store)
        self.name = _name(store, self.snapshot)
        self._known: dict[Any, Any] = {}
        self._lock = threading.Lock()
        _HERE[self.token] = self

    def remembered(self, key: Any, make: Callable[[], T]) -> T:
        """Return what ``make()`` returned when it was called first with this `key`."""
        with self._lock:
            if key not in self._known:
                self._known[key] = make()
            found: T = self._known[key]
            return found

    @property
    def innermost(self) -> Store:
        """The store below all of Zarr's wrappers."""
        return next(iter(list(_layers(self._given))[::-1]))

    @property
    def bound(self) -> str:
        """Why no other process can read the store, as the end of a sentence; "" if one may."""
        return _sent(self._given)[1]

    def __reduce__(self) -> tuple[Any, ...]:
        raw, why = _sent(self._given)
        return _arrived, (self.token, raw, self.name, why)

    def __str__(self) -> str:
        return self.name


#: The store objects of this process, by their tokens.
_HERE: weakref.WeakValueDictionary[str, StoreObject] = weakref.WeakValueDictionary()
#: With this lock, two threads that unpickle one object at once get the same.
_ARRIVING = threading.Lock()


def _arrived(token: str, raw: bytes, name: str, why: str) -> StoreObject:
    """Return the object that was pickled: the same one in its own process, else a copy of it."""
    with _ARRIVING:
        here = _HERE.get(token)
        if here is not None:
            return here
        if why:
            raise EngineError(f"{name} cannot be read by this worker: {why}.")
        return _copy(token, raw)


@lru_cache(maxsize=16)
def _copy(token: str, raw: bytes) -> StoreObject:
    """Return the copy of this process. It stays for the next pass over the same store."""
    return StoreObject(pickle.loads(raw), token)


def _layers(store: Store) -> Iterator[Store]:
    """Yield a store and what Zarr's wrappers around it hold."""
    yield store
    while isinstance(store, WrapperStore):
        store = store._store
        yield store


def _filesystem(store: Store) -> Any:
    """Return the filesystem of an FsspecStore below fsspec's own wrapper, or None."""
    fs = getattr(store, "fs", None) if is_a(store, "zarr", "FsspecStore") else None
    return getattr(fs, "sync_fs", fs)


def _sent(store: Store) -> tuple[bytes, str]:
    """Return the pickled store, or b"" and why no other process can read it."""
    *_, inner = _layers(store)
    if isinstance(inner, MemoryStore) or is_a(_filesystem(inner), "fsspec", "MemoryFileSystem"):
        return b"", "its data are in the memory of the process that opened it"
    if is_a(getattr(inner, "store", None), "obstore", "MemoryStore"):
        return b"", "its data are in the memory of the process that opened it"
    try:
        raw = pickle.dumps(store)
    except Exception as error:  # noqa: BLE001  a class of store may raise anything
        if is_a(inner, "icechunk", "IcechunkStore"):
            return b"", "its Icechunk session is open for writing"
        return b"", f"it cannot be pickled ({type(error).__name__}: {error!s:.{_SHOWN}})"
    if len(raw) > _SENDABLE:
        return b"", f"it pickles to {len(raw) >> 20} MiB, so it holds its data in memory"
    return raw, ""


def _snapshot(store: Store) -> str:
    """Return the ID of the snapshot that a store reads, if nothing in it can change."""
    *_, inner = _layers(store)
    if not is_a(inner, "icechunk", "IcechunkStore"):
        return ""
    session: Any = inner.session  # type: ignore[attr-defined]
    return str(session.snapshot_id) if session.read_only else ""


def _name(store: Store, snapshot: str) -> str:
    """Return what messages call a store."""
    *_, inner = _layers(store)
    kind = type(inner).__name__
    if isinstance(inner, MemoryStore):
        return f"a {kind}"
    if snapshot:
        return f"the Icechunk snapshot {snapshot}"
    if is_a(inner, "icechunk", "IcechunkStore"):
        return "a writable Icechunk session"
    if (fs := _filesystem(inner)) is not None:
        names = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
        return f"{kind}({without_credentials(f'{names[0]}:{inner.path}')})"  # type: ignore[attr-defined]
    shown = str(getattr(inner, "store", "")) if is_a(inner, "zarr", "ObjectStore") else ""
    if "object at 0x" in shown or not shown:
        return f"a {kind}"
    return f"{kind}({without_credentials(shown):.{_SHOWN}})"
