"""Sums: sufficient statistics that add, and the fixed-order tree that adds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Siblings that one worker-side reduction task joins: a power of two, so that the binary tree
#: inside such a task is a subtree of the binary tree over all blocks.
FAN_IN = 8

#: How fields of such names join; all others add.
_JOIN = {"min.": np.minimum, "max.": np.maximum}


class Monoid(Protocol):
    """Anything that a pass can reduce: ``a + b``, associative up to rounding."""

    def __add__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=Monoid)


@dataclass(frozen=True)
class Sums:
    """Named float64 arrays that add field by field.

    Parameters
    ----------
    fields
        Statistic name to array. Two ``Sums`` add only if they have the same names and shapes.
        Extremes are no sums and join like them: of ``min.*`` the smaller, of ``max.*`` the larger.
    """

    fields: Mapping[str, NDArray[np.float64]]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.fields[name]

    def __add__(self, other: Sums) -> Sums:
        if self.fields.keys() != other.fields.keys():
            raise ValueError(
                f"Sums with fields {sorted(self.fields)} and {sorted(other.fields)} do not add; "
                "both sides must come from the same task."
            )
        return Sums(
            {
                name: _JOIN.get(name[:4], np.add)(value, other.fields[name])
                for name, value in self.fields.items()
            }
        )

    def equals(self, other: Sums) -> bool:
        """Whether both hold the same bits."""
        return self.fields.keys() == other.fields.keys() and all(
            np.array_equal(value, other.fields[name]) for name, value in self.fields.items()
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __getstate__(self) -> dict[str, Any]:
        return {"fields": dict(self.fields)}


class Tree(Generic[S]):
    """Adds leaves in the order of one fixed binary tree, in whatever order they arrive.

    Node ``(level, i)`` is the sum of nodes ``(level - 1, 2 i)`` and ``(level - 1, 2 i + 1)``; a
    node without a right sibling moves up unchanged. The shape depends on ``n_leaves`` alone, so
    the result has the same bits for any completion order and any number of workers.

    It has state because leaves arrive one at a time: only nodes that wait for a sibling are
    held, about log2(n) of them when the arrival order is near the index order.

    Parameters
    ----------
    n_leaves
        How many leaves will be given, at least 1.
    level
        Tree level of the leaves given to `add`. Level 0 are blocks; a worker that has already
        joined `FAN_IN` blocks hands in nodes of level 3.
    """

    def __init__(self, n_leaves: int, level: int = 0) -> None:
        if n_leaves < 1:
            raise ValueError(f"a tree needs at least 1 leaf, got {n_leaves}")
        self._n_leaves = n_leaves
        self._level = level
        self._waiting: dict[tuple[int, int], S] = {}

    def _width(self, level: int) -> int:
        return (
            -(-self._n_leaves >> (level - self._level)) if level > self._level else self._n_leaves
        )

    def add(self, index: int, value: S) -> None:
        """Give leaf `index` (0-based); joins every pair that this completes."""
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
        """Nodes held now."""
        return len(self._waiting)

    def result(self) -> S:
        """The root; every leaf must have been given."""
        if len(self._waiting) != 1:
            raise ValueError(f"{self._n_leaves} leaves were announced and some are missing")
        ((level, _), root), *_ = self._waiting.items()
        if self._width(level) != 1:
            raise ValueError(f"{self._n_leaves} leaves were announced and some are missing")
        return root


def tree_sum(leaves: list[S], level: int = 0) -> S:
    """The sum of `leaves` in the order of the fixed tree."""
    tree: Tree[S] = Tree(len(leaves), level)
    for index, leaf in enumerate(leaves):
        tree.add(index, leaf)
    return tree.result()


def whole(count: float) -> int | float:
    """Rows counted in float64 as the whole number that they are; sums of sample weights as such."""
    value = float(count)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
