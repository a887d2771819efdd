"""Sums: sufficient statistics that can be added, and the tree that adds them in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Number of siblings that one reduction task on a worker adds up. It is a power of two, so that the
#: binary tree inside such a task is a subtree of the binary tree over all blocks.
FAN_IN = 8

#: How to join fields whose names have these prefixes. All other fields are added.
_JOIN = {"min.": np.minimum, "max.": np.maximum}


class Monoid(Protocol):
    """Anything that a pass can add up: ``a + b`` exists and is associative up to rounding."""

    def __add__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=Monoid)


@dataclass(frozen=True)
class Sums:
    """Named float64 arrays, which are added field by field.

    Parameters
    ----------
    fields
        The arrays by the names of the statistics. Two ``Sums`` can be added only if they have the
        same names and shapes. Fields may also hold extremes: adding keeps the smaller values of
        ``min.*`` and the larger values of ``max.*``.
    """

    fields: Mapping[str, NDArray[np.float64]]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.fields[name]

    def __add__(self, other: Sums) -> Sums:
        if self.fields.keys() != other.fields.keys():
            raise ValueError(
                f"Sums with fields {sorted(self.fields)} and {sorted(other.fields)} cannot be "
                "added; both must come from the same task."
            )
        return Sums(
            {
                name: _JOIN.get(name[:4], np.add)(value, other.fields[name])
                for name, value in self.fields.items()
            }
        )

    def equals(self, other: Sums) -> bool:
        """Return whether both hold the same names and bit-identical arrays."""
        return self.fields.keys() == other.fields.keys() and all(
            np.array_equal(value, other.fields[name]) for name, value in self.fields.items()
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __getstate__(self) -> dict[str, Any]:
        return {"fields": dict(self.fields)}


class Tree(Generic[S]):
    """Adds leaves in the order of one fixed binary tree, whatever the order in which they arrive.

    Node ``(level, i)`` is the sum of nodes ``(level - 1, 2 i)`` and ``(level - 1, 2 i + 1)``. A
    node without a right sibling moves up unchanged. The shape of the tree depends on ``n_leaves``
    alone, so the results are bit-identical for any order of arrival and any number of workers.

    A tree has state, because leaves arrive one at a time. It only holds nodes that wait for a
    sibling: about log2(n) of them if leaves arrive nearly in the order of their indices.

    Parameters
    ----------
    n_leaves
        The number of leaves that will be added, at least 1.
    level
        The level of the leaves that `add` receives. Blocks have level 0. A worker that has added
        `FAN_IN` blocks already sends nodes of level 3.
    """

    def __init__(self, n_leaves: int, level: int = 0) -> None:
        if n_leaves < 1:
            raise ValueError(f"a tree needs at least 1 leaf, got {n_leaves}")
        self._n_leaves = n_leaves
        self._level = level
        self._waiting: dict[tuple[int, int], S] = {}

    def _width(self, level: int) -> int:
        """Return the number of nodes at `level`: half of those below, rounded up at each level."""
        return (
            -(-self._n_leaves >> (level - self._level)) if level > self._level else self._n_leaves
        )

    def add(self, index: int, value: S) -> None:
        """Add leaf `index` (counted from 0), and every pair of nodes that it completes."""
        level, i = self._level, index
        while self._width(level) > 1:
            sibling = i ^ 1
            if sibling < self._width(level):
                if (level, sibling) not in self._waiting:
                    break
                other = self._waiting.pop((level, sibling))
                value = value + other if i < sibling else other + value
            level, i = level + 1, i >> 1
        self._waiting[level, i] = value

    @property
    def pending(self) -> int:
        """Number of nodes that the tree holds now."""
        return len(self._waiting)

    def result(self) -> S:
        """Return the sum of all leaves; ValueError if leaves are missing."""
        if len(self._waiting) != 1:
            raise ValueError(f"{self._n_leaves} leaves were announced, but some are missing")
        ((level, _), root), *_ = self._waiting.items()
        if self._width(level) != 1:
            raise ValueError(f"{self._n_leaves} leaves were announced, but some are missing")
        return root


def tree_sum(leaves: list[S], level: int = 0) -> S:
    """Return the sum of `leaves`, added in the order of the fixed tree."""
    tree: Tree[S] = Tree(len(leaves), level)
    for index, leaf in enumerate(leaves):
        tree.add(index, leaf)
    return tree.result()


def whole(count: float) -> int | float:
    """Return `count` as an int if it is a whole number that float64 holds exactly, else as a float.

    Counts of rows become whole numbers this way, and sums of sample weights stay as they are.
    """
    value = float(count)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
