"""The task graph of one pass: leaves, and joins of eight."""

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

#: (depth, index): depth 0 are blocks by position, depth 1 joins of `FAN_IN` blocks, and so on.
Node: TypeAlias = tuple[int, int]
Key: TypeAlias = tuple[str, int]

#: Binary levels of the tree that one join climbs.
LEVELS = FAN_IN.bit_length() - 1


#: Errors that reading once more cannot mend ...
FINAL = (DataError, ConfigError, CollapseError)
#: ... but for these, which a store in trouble can cause as well.
PASSING = (CorruptChunkError, MissingChunksError, NotFoundError)


@dataclass(frozen=True)
class Refusal:
    """What a block gives in place of sums when its data are refused.

    A result and no failure: Dask repeats failures, and would read a block of NaN three times.
    """

    error: EmdistError


def run_leaf(
    task: Callable[[int], S], block: int, following: int | None = None, *chunks: Any
) -> S | Refusal:
    """One block on a worker; `following` is what comes there next.

    `chunks` are those of a persisted array that the block is made from.
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
    """Aligned siblings into their parent: a subtree of the tree over all blocks.

    A refusal among them is raised here: to repeat a join is cheap.
    """
    for node in nodes:
        if isinstance(node, Refusal):
            raise node.error
    return tree_sum([node for node in nodes if not isinstance(node, Refusal)])


@dataclass(frozen=True)
class Shape:
    """How the blocks of a pass are joined: fixed by their number alone.

    Parameters
    ----------
    n_blocks
        At least 1.
    """

    n_blocks: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Nodes at each depth, until at most `FAN_IN` are left for the driver."""
        widths = [self.n_blocks]
        while widths[-1] > FAN_IN:
            widths.append(-(-widths[-1] // FAN_IN))
        return tuple(widths)

    @property
    def top(self) -> int:
        """Depth of the nodes that the driver fetches."""
        return len(self.widths) - 1

    @property
    def low(self) -> int:
        """Smallest depth of which the client holds futures: progress is counted there."""
        return min(1, self.top)

    def children(self, node: Node) -> list[Node]:
        """The nodes that `node` joins."""
        depth, i = node
        end = min((i + 1) * FAN_IN, self.widths[depth - 1])
        return [(depth - 1, j) for j in range(i * FAN_IN, end)]

    def size(self, node: Node) -> int:
        """Blocks under `node`."""
        reach: int = FAN_IN ** node[0]
        return min(reach, self.n_blocks - node[1] * reach)


@dataclass(frozen=True)
class Names:
    """Keys of one attempt at one pass.

    Parameters
    ----------
    label
        What the task is called on Dask's dashboard.
    token
        Unique per run, pass and attempt; begins with a digit, because Dask groups tasks by the
        part of the key before the first word that is no word.
    """

    label: str
    token: str

    @property
    def load(self) -> str:
        """Key of the task that unpickles the user's task."""
        return f"load-{self.token}"

    @property
    def leaf(self) -> str:
        """First part of the key of every block."""
        return f"{self.label}-{self.token}"

    def key(self, node: Node) -> Key:
        """Key of `node`."""
        depth, i = node
        return (self.leaf if depth == 0 else f"join-{self.token}-{depth}", i)


def build(
    shape: Shape,
    names: Names,
    payload: bytes,
    blocks: Sequence[int],
    wanted: Iterable[Node],
    kept: Mapping[Node, Key],
    following: Sequence[int | None],
    needs: Sequence[Sequence[Any]],
) -> tuple[dict[Any, Task], list[Node]]:
    """The graph that makes `wanted`, and its nodes that the client must hold.

    The task travels once, as a task of its own: unlike scattered data it has a recipe, so a
    worker that dies with the only copy costs an unpickling and not the pass. All blocks of a worker
    share it, and with it what was made ready of its parameters.

    Parameters
    ----------
    payload
        The pickled task.
    kept
        Nodes that an earlier attempt has finished, by their keys.
    following
        Of each of `blocks`, the one that its worker is to read while it is at work.
    needs
        Of each of `blocks`, the keys of the persisted chunks that it is made from.
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
