"""Messages of the pieces of sequences that blocks cut, and the links that follow from all of them.

A first read gives, for each such piece, what it does to the probabilities of the states: a matrix
(k, k), or its first row alone where a sequence begins. The driver combines them in order, which
gives each block what lies before and behind it.

Source: Hassan, Sarkka and Garcia-Fernandez 2021, "Temporal parallelization of inference in hidden
Markov models", IEEE Transactions on Signal Processing 69.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.inputs.sequences import check_weights
from emdist.interfaces import Floats, Pieces
from emdist.kernels.tiles.best_paths import carry_best
from emdist.kernels.tiles.chains import carry_message_log
from emdist.kernels.vector.chains import carry_message
from emdist.kernels.vector.steps import padded, padded_matrix
from emdist.models.chains.params import HiddenMarkovParams, Link, logarithms
from emdist.models.chains.paths import BestPath
from emdist.models.chains.smoothing import Chain, exponentials
from emdist.models.chains.tiles import Emitted


@dataclass(frozen=True)
class Message:
    """What one piece of a sequence does to the log-probabilities of the states.

    Attributes
    ----------
    block
        The index of the block.
    begins
        Whether the sequence begins in the piece.
    rows
        Logarithms, without a common factor: (k, k), from the state before the piece to that of its
        last row. If the sequence begins in the piece, (1, k).
    hard
        Whether `rows` are those of the best paths, and not of sums over all paths.
    weight
        The sample weight of the first row.
    """

    block: int
    begins: bool
    rows: Floats
    hard: bool
    weight: float


@dataclass(frozen=True)
class Messages:
    """The messages of some blocks; two of them are added by joining."""

    found: tuple[Message, ...]

    def __add__(self, other: Messages) -> Messages:
        return Messages(self.found + other.found)


def messages_of(rows: Emitted, params: HiddenMarkovParams[Any], hard: bool) -> Messages:
    """Return the messages of the cut pieces of one block.

    `hard` says that they are those of the best paths, and not of sums over all paths.
    """
    block, found = rows.block, []
    pieces = block.pieces
    if pieces is None or not pieces.cut:
        return Messages(())
    starts, n = pieces.starts, len(block.x)
    if pieces.continues:
        end = int(starts[0]) if len(starts) else n
        found.append(Message(block.index, False, _through(_part(rows, 0, end), params, hard),
                             hard, _weight(rows, 0)))  # fmt: skip
    if pieces.goes_on and len(starts):
        begin = int(starts[-1])
        part = _part(rows, begin, n)
        found.append(Message(block.index, True, _from_start(part, params, hard),
                             hard, _weight(rows, begin)))  # fmt: skip
    return Messages(tuple(found))


def _weight(rows: Emitted, at: int) -> float:
    weight = rows.block.weight
    return 1.0 if weight is None else float(weight[at])


def _part(rows: Emitted, a: int, b: int) -> Emitted:
    """Return the rows a..b of the block, as a piece of a sequence."""
    block = rows.block
    starts = block.pieces.starts if block.pieces is not None else np.empty(0, np.int64)
    own = starts[(starts >= a) & (starts < b)] - a
    return replace(
        rows,
        block=replace(
            block,
            x=block.x[a:b],
            weight=None if block.weight is None else block.weight[a:b],
            mask=None if block.mask is None else block.mask[a:b],
            pieces=Pieces(own),
        ),
    )


def _from_start(rows: Emitted, params: HiddenMarkovParams[Any], hard: bool) -> Floats:
    """Return the log-probabilities (1, k) of the last row of a piece that begins a sequence."""
    carry = np.zeros(len(params.start))
    if hard:
        path = BestPath(rows, params)
        for tile in rows.forwards():
            path.advance(tile, carry)
        return carry[None]
    chain = Chain(rows, params)
    for tile in rows.forwards():
        chain.filtered(tile, carry)
    return (logarithms(carry) if params.scaled else carry)[None]


def _through(rows: Emitted, params: HiddenMarkovParams[Any], hard: bool) -> Floats:
    """Return the log-probabilities (k, k) of the last row of a piece, by the state before it."""
    k = len(params.start)
    scaled = params.scaled and not hard
    if scaled:
        held, logs, joined = padded(np.eye(k)), np.zeros(k), k == 1
        matrix, new = padded_matrix(params.transitions), np.empty((1, held.shape[1]))
        for tile in rows.forwards():
            joined = carry_message(exponentials(tile.score), matrix, held, logs, new, joined)
            if joined:
                held[1:] = held[0]
        return logarithms(held[:, :k]) + logs[:, None]
    held = logarithms(np.eye(k))
    step: Callable[..., None] = carry_best if hard else carry_message_log
    for tile in rows.forwards():
        step(tile.score, logarithms(params.transitions), held)
    return held


def links_of(messages: Messages, hard: bool) -> dict[int, Link]:
    """Return what each block of a cut sequence needs to know of the others, by its index.

    For best paths, `Link.before` and `Link.after` are 0 for the state that the path has there, and
    -inf for all others.
    """
    links: dict[int, Link] = {}
    chain: list[Message] = []
    own = [one for one in messages.found if one.hard == hard]
    for one in sorted(own, key=lambda each: (each.block, each.begins)):
        if one.begins and chain:
            _link(chain, links, hard)
            chain = []
        chain.append(one)
    if chain:
        _link(chain, links, hard)
    return links


def _link(chain: list[Message], links: dict[int, Link], hard: bool) -> None:
    """Add the links of one sequence, whose pieces are in `chain`."""
    check_weights(np.array([one.weight for one in chain]))
    forwards = [_normal(chain[0].rows[0], hard)]
    for one in chain[1:-1]:
        forwards.append(_normal(_joined(forwards[-1][:, None] + one.rows, 0, hard), hard))
    backwards = [np.zeros(chain[0].rows.shape[1])]
    for one in chain[:0:-1]:
        found = _joined(one.rows + backwards[-1][None], 1, hard)
        backwards.append(_normal(found, hard))
    backwards.reverse()  # backwards[i] is the message at the last row of piece i
    if hard:
        forwards, backwards = _states(chain, forwards, backwards)
    for i, one in enumerate(chain):
        link = links.get(one.block, Link())
        if i:
            link = replace(link, before=forwards[i - 1])
        if i < len(chain) - 1:
            link = replace(link, after=backwards[i])
        links[one.block] = link


def _states(
    chain: list[Message], forwards: list[Floats], backwards: list[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """Return the states of the best path at the ends of all pieces, as messages of 0 and -inf."""
    k = len(backwards[0])
    state = int(np.argmax(forwards[-1] + backwards[len(chain) - 2]))
    found = [state]
    for i in range(len(chain) - 2, 0, -1):
        state = int(np.argmax(forwards[i - 1] + chain[i].rows[:, state]))
        found.append(state)
    fixed = [logarithms(np.eye(k)[each]) for each in reversed(found)]
    return fixed, [*fixed, backwards[-1]]


def _joined(values: Floats, axis: int, hard: bool) -> Floats:
    """Return the largest of `values` along an axis, or the logarithm of their sum."""
    if hard:
        return np.asarray(values.max(axis=axis))
    return np.asarray(np.logaddexp.reduce(values, axis=axis))


def _normal(values: Floats, hard: bool) -> Floats:
    """Return log-probabilities less their largest, or less the logarithm of their sum."""
    return values - _joined(values, 0, hard)
