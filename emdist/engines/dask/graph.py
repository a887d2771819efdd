"""The task graph of one pass on a Dask cluster: leaves that compute blocks, and joins of eight."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from dask.task_spec import Task, TaskRef

from emdist.engines.blas import one_thread
from emdist.engines.dask.persisted import needs_of, supplied
from emdist.engines.threads import expecting
from emdist.errors import (
    CollapseError,
    ConfigError,
    CorruptChunkError,
    DataError,
    EmdistError,
    MissingChunksError,
    NotFoundError,
)
from emdist.sums import FAN_IN, Monoid, tree_sum

S = TypeVar("S", bound=Monoid)

#: A node is (depth, index). Depth 0 are blocks by position, depth 1 joins of `FAN_IN` blocks, and
#: so on.
Node: TypeAlias = tuple[int, int]
Key: TypeAlias = tuple[str, int]

#: The binary levels of the tree that one join covers.
LEVELS = FAN_IN.bit_length() - 1


#: Errors that another read cannot correct ...
FINAL = (DataError, ConfigError, CollapseError)
#: ... except these, which a store with problems can cause too.
PASSING = (CorruptChunkError, MissingChunksError, NotFoundError)


@dataclass(frozen=True)
class Refusal:
    """What a block returns in place of sums if its data are refused.

    It is a result and no failure: Dask repeats failures, and would read a block with NaN three
    times.
    """

    error: EmdistError


def run_leaf(
    task: Callable[[int], S], block: int, following: int | None = None, *chunks: Any
) -> S | Refusal:
    """Process one block on a worker. `following` is the block that comes next on it.

    `chunks` are the chunks of a persisted array from which the block is made.
    """
    if following is not None:
        expecting(task)(following)
    needs = needs_of(task) if chunks else None
    try:
        with one_thread(), supplied(needs(block) if needs else (), chunks):
            return task(block)
    except FINAL as error:
        if isinstance(error, PASSING):
            raise
        return Refusal(error)


def join(*nodes: S | Refusal) -> S:
    """Return the sum of `nodes`, the children of one node of the tree over all blocks.

    They are added in the same order as in `tree_sum` over all blocks, so the result is
    bit-identical. If there is a refusal among them, it is raised here, because repeating a join is
    cheap.
    """
    for node in nodes:
        if isinstance(node, Refusal):
            raise node.error
    return tree_sum([node for node in nodes if not isinstance(node, Refusal)])


@dataclass(frozen=True)
class JoinShape:
    """How the blocks of a pass are joined, which depends on their number alone.

    Parameters
    ----------
    n_blocks
        The number of blocks, at least 1.
    """

    n_blocks: int

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of nodes at each depth, until at most `FAN_IN` are left for the driver."""
        widths = [self.n_blocks]
        while widths[-1] > FAN_IN:
            widths.append(-(-widths[-1] // FAN_IN))
        return tuple(widths)

    @property
    def top(self) -> int:
        """The depth of the nodes that the driver fetches."""
        return len(self.widths) - 1

    @property
    def low(self) -> int:
        """The smallest depth for which the client holds futures. Progress is counted there."""
        return min(1, self.top)

    def children(self, node: Node) -> list[Node]:
        """Return the nodes that `node` joins."""
        depth, i = node
        end = min((i + 1) * FAN_IN, self.widths[depth - 1])
        return [(depth - 1, j) for j in range(i * FAN_IN, end)]

    def size(self, node: Node) -> int:
        """Return the number of blocks under `node`."""
        reach: int = FAN_IN ** node[0]
        return min(reach, self.n_blocks - node[1] * reach)


@dataclass(frozen=True)
class Names:
    """The keys of one attempt at one pass.

    Parameters
    ----------
    label
        The name of the task on Dask's dashboard.
    token
        A text that is unique for each run, pass and attempt. It begins with a digit: Dask groups
        tasks by the words at the beginning of their keys, and the digit ends these words.
    """

    label: str
    token: str

    @property
    def load(self) -> str:
        """The key of the task that unpickles the user's task."""
        return f"load-{self.token}"

    @property
    def leaf(self) -> str:
        """The first part of the key of every block."""
        return f"{self.label}-{self.token}"

    def key(self, node: Node) -> Key:
        """Return the key of `node`."""
        depth, i = node
        return (self.leaf if depth == 0 else f"join-{self.token}-{depth}", i)


def build(
    shape: JoinShape,
    names: Names,
    payload: bytes,
    blocks: Sequence[int],
    wanted: Iterable[Node],
    kept: Mapping[Node, Key],
    following: Sequence[int | None],
    needs: Sequence[Sequence[Any]],
) -> tuple[dict[Any, Task], list[Node]]:
    """Return the graph that computes `wanted`, and its nodes that the client must hold.

    The user's task is sent once, and a Dask task of its own unpickles it. If a worker dies with
    the only copy, Dask unpickles it again on another worker. Scattered data would be lost, and the
    pass with them. All blocks of a worker share the unpickled task and what it has prepared from
    its parameters.

    Parameters
    ----------
    payload
        The user's task, pickled.
    kept
        The nodes that an earlier attempt has finished, with their keys.
    following
        For each of `blocks`, the block that its worker should read ahead while it processes this
        one, or None.
    needs
        For each of `blocks`, the keys of the persisted chunks from which it is made.
    """
    graph: dict[Any, Task] = {names.load: Task(names.load, pickle.loads, payload)}
    load = TaskRef(names.load)
    held = []
    stack = [node for node in wanted if node not in kept]
    while stack:
        node = stack.pop()
        key = names.key(node)
        if node[0] >= shape.low:
            held.append(node)
        if node[0] == 0:
            position = node[1]
            chunks = (TaskRef(chunk) for chunk in needs[position])
            graph[key] = Task(
                key, run_leaf, load, int(blocks[position]), following[position], *chunks
            )
            continue
        below = shape.children(node)
        graph[key] = Task(key, join, *(TaskRef(kept.get(n) or names.key(n)) for n in below))
        stack.extend(n for n in below if n not in kept)
    return graph, held
