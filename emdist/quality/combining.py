"""Combines components that overlap into clusters, step by step, by the entropy of responsibilities.

Source: Baudry, Raftery, Celeux, Lo and Gottardo 2010, "Combining mixture components for
clustering", J. Computational and Graphical Statistics 19.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from emdist.fit.assigned import assigned_in_parts
from emdist.fit.fitted import Fitted
from emdist.fit.observed import observed_source
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Floats, Model, Numerics, Source
from emdist.sums import Sums

#: Components that are combined, by their numbers.
Group: TypeAlias = tuple[int, ...]
#: Rows whose responsibilities are combined at a time.
_TILE = 1 << 12


@dataclass(frozen=True, eq=False)
class CombiningTree:
    """Which components are combined at each step, until one cluster is left.

    Attributes
    ----------
    merges
        The two clusters that each step combines: (k - 1, 2). Components are 0 to k - 1, and step s
        makes cluster k + s, as in `scipy.cluster.hierarchy`.
    entropy
        The entropy of the responsibilities of all rows, in nats, for 1, 2, ... k clusters: (k,).
    weight
        The expected weight of the rows of each component, (k,).
    """

    merges: NDArray[np.int64]
    entropy: Floats
    weight: Floats

    @property
    def n_components(self) -> int:
        """The number of components."""
        return len(self.weight)

    def groups(self, n_clusters: int) -> list[Group]:
        """Return the components of each of `n_clusters` clusters, by their first component."""
        k = self.n_components
        now: dict[int, Group] = {c: (c,) for c in range(k)}
        for step, (a, b) in enumerate(self.merges[: k - n_clusters].tolist()):
            now[k + step] = tuple(sorted(now.pop(a) + now.pop(b)))
        return sorted(now.values())

    def merged_weight(self) -> Floats:
        """Return the expected weight of the rows that each step combines: (k - 1,)."""
        weight = list(self.weight)
        for a, b in self.merges:
            weight.append(weight[a] + weight[b])
        return np.array(weight[self.n_components :])

    def elbow(self) -> int:
        """Return the number of clusters where the entropy bends most.

        Two straight lines that meet at this number fit the entropy best, by least squares, as in
        section 4 of the source. It is k for at most two components.
        """
        k = self.n_components
        if k < 3:
            return k
        x = np.arange(1.0, k + 1)

        def misfit(c: int) -> float:
            return sum(
                float(np.polyfit(x[part], self.entropy[part], 1, full=True)[1].sum())
                for part in (slice(0, c), slice(c - 1, k))
                if len(x[part]) > 2
            )

        return min(range(2, k), key=misfit)

    def linkage(self) -> Floats:
        """Return the tree as `scipy.cluster.hierarchy.dendrogram` takes it: (k - 1, 4).

        The height of a step is the entropy that is gone after it, in nats.
        """
        k = self.n_components
        size = [1.0] * k
        for a, b in self.merges:
            size.append(size[a] + size[b])
        height = np.maximum.accumulate(self.entropy[-1] - self.entropy[-2::-1])
        return np.column_stack([self.merges, height, size[k:]])


@dataclass(frozen=True)
class EntropyStep:
    """The task that sums, for one block, the entropy that combined components contribute.

    Attributes
    ----------
    source, model, params, origin, numerics
        The rows and the fitted model, as a pass uses it.
    groups
        The components that are combined.
    """

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    groups: tuple[Group, ...]

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        _, weight = block.valid()
        columns = len(self.params.shares)
        entropy, total = np.zeros(len(self.groups)), np.zeros(columns)
        at = (self.model, block, self.params, self.origin, self.numerics)
        for rows, found in assigned_in_parts(*at, columns):
            resp: Any = found.resp
            for a in range(0, len(resp), _TILE):
                # One component after another: each is a run in memory then.
                part = np.ascontiguousarray(resp[a : a + _TILE].T, np.float64)
                here = rows.start + a
                w = np.ones(part.shape[1]) if weight is None else weight[here : here + _TILE]
                total += part @ w
                for g, group in enumerate(self.groups):
                    joined = part[list(group)].sum(axis=0) if len(group) > 1 else part[group[0]]
                    entropy[g] += entr(np.minimum(joined, 1.0)) @ w
        return Sums({"entropy": entropy, "weight": total})


def combining_tree(
    model: Model[Any],
    fitted: Fitted,
    source: Source,
    engine: Engine,
    done: Callable[[int, int], None] | None = None,
) -> CombiningTree:
    """Combine the components of a fitted mixture until one cluster is left: k - 1 passes.

    Each step combines the two clusters that lower the entropy of responsibilities most; of equal
    ones, the first. Noise is not combined.

    Parameters
    ----------
    model, fitted
        The model, with responsibilities.
    source, engine
        The rows, prepared, and the engine that reads them.
    done
        Called with the number of passes that are done, and their total.
    """
    fitted.check_features(source)
    seen = observed_source(source, model)
    numerics = fitted.numerics(model, source.dtype)
    params = fitted.linked(model, seen, engine)
    k = fitted.n_components
    known: dict[Group, float] = {}

    def learn(groups: Sequence[Group]) -> Floats:
        task = EntropyStep(seen, model, params, fitted.spread.origin, numerics, tuple(groups))
        with naming(source):
            sums = engine.map_reduce(task, range(len(seen)))
        known.update(zip(groups, sums["entropy"].tolist(), strict=True))
        weight: Floats = sums["weight"]
        return weight

    now: dict[int, Group] = {c: (c,) for c in range(k)}
    weight = learn([*now.values(), *combinations(range(k), 2)])
    entropies, merges = [sum(known[group] for group in now.values())], []
    for step in range(k - 1):
        if done is not None:
            done(step + 1, max(1, k - 1))
        if step:
            newest = now[k + step - 1]
            learn([_joined(newest, group) for c, group in now.items() if c != k + step - 1])

        def gain(pair: tuple[int, int]) -> float:
            a, b = now[pair[0]], now[pair[1]]
            return known[a] + known[b] - known[_joined(a, b)]

        a, b = max(combinations(sorted(now), 2), key=gain)
        merges.append((a, b))
        now[k + step] = _joined(now.pop(a), now.pop(b))
        entropies.append(sum(known[group] for group in now.values()))
    found = np.array(merges, np.int64).reshape(-1, 2)
    return CombiningTree(found, np.array(entropies[::-1]), weight[:k])


def _joined(a: Group, b: Group) -> Group:
    return tuple(sorted(a + b))
