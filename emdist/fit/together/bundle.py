"""Bundles: several tasks run on each block, which is read once; results add separately."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Block, Floats, Source
from emdist.store.sources.ahead import expect
from emdist.store.sources.sequenced import sequences_in


@dataclass(frozen=True)
class _Kept(Block):
    """A block that selects its rows that count only once, however many tasks ask for them."""

    @cached_property
    def _valid(self) -> tuple[Array, Floats | None]:
        return super().valid()

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return super().rows()

    def valid(self) -> tuple[Array, Floats | None]:
        """Return the same as any block, from a cached copy."""
        return self._valid

    def rows(self) -> NDArray[np.int64]:
        """Return the same as any block, from a cached copy."""
        return self._rows


class OneRead:
    """A source for tasks of a bundle, which get the block that the bundle holds.

    It stores the block that each thread holds now, because tasks call `read` as usual and know
    nothing of each other. A block that is not held is read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._here = threading.local()

    def __reduce__(self) -> tuple[type[OneRead], tuple[Source]]:
        # The held block stays in its thread, and is not pickled.
        return OneRead, (self._source,)

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and features of the source."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the source."""
        return self._source.dtype

    @property
    def bounds(self) -> Sequence[int]:
        """The block plan of the source."""
        return self._source.bounds

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the fingerprint of the source."""
        return self._source.fingerprint()

    @property
    def sequences(self) -> Any:
        """The sequences of the rows, or None."""
        return sequences_in(self._source)

    @property
    def needs(self) -> Any:
        """What the source needs of a cluster, or None."""
        return getattr(self._source, "needs", None)

    def read(self, i: int) -> Block:
        """Return block `i`: the one that this thread holds, or else as the source reads it."""
        if getattr(self._here, "index", None) != i:
            return self._source.read(i)
        held: Block | None = self._here.block
        if held is None:
            block = self._source.read(i)
            held = _Kept(**{one.name: getattr(block, one.name) for one in fields(block)})
            self._here.block = held
        return held

    def expect(self, i: int) -> None:
        """Let the source read block `i` ahead, if it can."""
        expect(self._source, i)

    @contextmanager
    def holding(self, i: int) -> Iterator[None]:
        """Let `read` return one and the same block `i` in this thread, inside the context.

        The first task that asks for the block causes the read. If no task asks, it is not read.
        """
        self._here.index, self._here.block = i, None
        try:
            yield
        finally:
            self._here.index = self._here.block = None


@dataclass(frozen=True)
class BundleResults:
    """The result of each task of a bundle; they add separately, in the same tree as alone."""

    parts: tuple[Any, ...]

    def __add__(self, other: BundleResults) -> BundleResults:
        return BundleResults(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))


@dataclass(frozen=True)
class Bundle:
    """Several tasks for each block, which is read once.

    Attributes
    ----------
    source
        The source that all tasks read: the same object.
    tasks
        The tasks, as an engine would map them; at least one.
    """

    source: OneRead
    tasks: tuple[Any, ...]

    def expect(self, i: int) -> None:
        """Read block `i` ahead if any of the tasks will read it."""
        for task in self.tasks:
            getattr(task, "expect", self.source.expect)(i)

    def __call__(self, i: int) -> BundleResults:
        with self.source.holding(i):
            return BundleResults(_made(self.tasks, i))


def _made(tasks: tuple[Any, ...], i: int) -> tuple[Any, ...]:
    """Return the result of each task for block `i`; run tasks of one type together if possible."""
    found: dict[int, Any] = {}
    for kind in dict.fromkeys(map(type, tasks)):
        own = [n for n, task in enumerate(tasks) if type(task) is kind]
        together = getattr(kind, "together", None) or _one_by_one
        found.update(zip(own, together([tasks[n] for n in own], i), strict=True))
    return tuple(found[n] for n in range(len(tasks)))


def _one_by_one(tasks: list[Any], i: int) -> list[Any]:
    return [task(i) for task in tasks]


def nbytes_of(value: Any) -> int:
    """Return the bytes of the arrays in a task or a result, without those of sources.

    Counts dataclasses, mappings and tuples.
    """
    if isinstance(value, np.ndarray):
        return value.nbytes
    if hasattr(value, "fingerprint"):
        return 0
    if isinstance(value, Mapping):
        return sum(map(nbytes_of, value.values()))
    if isinstance(value, tuple):
        return sum(map(nbytes_of, value))
    if is_dataclass(value) and not isinstance(value, type):
        return sum(nbytes_of(getattr(value, field.name)) for field in fields(value))
    return 0
