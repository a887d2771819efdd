"""Many tasks over one read: a bundle runs them on each block, and its results add one by one."""

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


@dataclass(frozen=True)
class _Kept(Block):
    """A block whose rows that count are picked once, however many tasks ask for them."""

    @cached_property
    def _valid(self) -> tuple[Array, Floats | None]:
        return super().valid()

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return super().rows()

    def valid(self) -> tuple[Array, Floats | None]:
        """As of any block."""
        return self._valid

    def rows(self) -> NDArray[np.int64]:
        """As of any block."""
        return self._rows


class OneRead:
    """A source for tasks that run in a bundle: they are given the block that the bundle holds.

    It has state, the block that each thread holds now, because tasks call `read` as they always
    do and know nothing of each other. A block that is not held is read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._here = threading.local()

    def __reduce__(self) -> tuple[type[OneRead], tuple[Source]]:
        # What is held stays in its thread.
        return OneRead, (self._source,)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the source."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the source."""
        return self._source.dtype

    @property
    def bounds(self) -> Sequence[int]:
        """Of the source."""
        return self._source.bounds

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self) -> Mapping[str, Any]:
        """Of the source."""
        return self._source.fingerprint()

    @property
    def needs(self) -> Any:
        """As the source's: what it needs of a cluster, if anything."""
        return getattr(self._source, "needs", None)

    def read(self, i: int) -> Block:
        """Block `i`: the one that this thread holds, or as the source reads it."""
        if getattr(self._here, "index", None) != i:
            return self._source.read(i)
        held: Block | None = self._here.block
        if held is None:
            block = self._source.read(i)
            held = _Kept(block.index, block.start, block.x, block.weight, block.mask)
            self._here.block = held
        return held

    def expect(self, i: int) -> None:
        """Have the source read block `i` ahead, if it can."""
        expect(self._source, i)

    @contextmanager
    def holding(self, i: int) -> Iterator[None]:
        """Have `read` give block `i` of one read, in this thread, inside the context.

        The first that asks for it has it read: where none does, it is not.
        """
        self._here.index, self._here.block = i, None
        try:
            yield
        finally:
            self._here.index = self._here.block = None


@dataclass(frozen=True)
class Results:
    """What each task of a bundle gave; adds one by one, each in the tree that it has alone."""

    parts: tuple[Any, ...]

    def __add__(self, other: Results) -> Results:
        return Results(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))


@dataclass(frozen=True)
class Bundle:
    """Several tasks over each block, which is read once.

    Attributes
    ----------
    source
        That the tasks read: the same object.
    tasks
        As an engine maps them, at least one.
    """

    source: OneRead
    tasks: tuple[Any, ...]

    def expect(self, i: int) -> None:
        """Have block `i` read ahead if any of the tasks will read it."""
        for task in self.tasks:
            getattr(task, "expect", self.source.expect)(i)

    def __call__(self, i: int) -> Results:
        with self.source.holding(i):
            return Results(_made(self.tasks, i))


def _made(tasks: tuple[Any, ...], i: int) -> tuple[Any, ...]:
    """What each task gives for block `i`: those of a kind `together` where it says how."""
    found: dict[int, Any] = {}
    for kind in dict.fromkeys(map(type, tasks)):
        own = [n for n, task in enumerate(tasks) if type(task) is kind]
        together = getattr(kind, "together", None) or _one_by_one
        found.update(zip(own, together([tasks[n] for n in own], i), strict=True))
    return tuple(found[n] for n in range(len(tasks)))


def _one_by_one(tasks: list[Any], i: int) -> list[Any]:
    return [task(i) for task in tasks]


def nbytes_of(value: Any) -> int:
    """Bytes of the arrays in a task or a result: dataclasses, mappings, tuples; no source's."""
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
