"""`CombinedComponents`: components that make up clusters, as tables, a tree and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Floats
from emdist.quality.combining import CombiningTree
from emdist.report.page import Page
from emdist.runtime.extras import need

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]


@dataclass(frozen=True, eq=False)
class CombinedComponents:
    """The components of a mixture, combined into ever fewer clusters.

    Attributes
    ----------
    tree : CombiningTree
        Which clusters each step combines, and the entropy after it. `tree.linkage()` is what
        `scipy.cluster.hierarchy.dendrogram` draws.
    """

    tree: CombiningTree

    @property
    def n_clusters(self) -> int:
        """The number of clusters where the entropy bends most: a heuristic."""
        return self.tree.elbow()

    def clusters(self, n_clusters: int | None = None) -> list[tuple[int, ...]]:
        """Return the components of each cluster.

        Parameters
        ----------
        n_clusters : int or None, default=None
            Number of clusters, at least 1. None: where the entropy bends most.
        """
        return self.tree.groups(self._checked(n_clusters))

    def predict_proba(self, proba: Any, n_clusters: int | None = None) -> Floats:
        """Return the probabilities of clusters, from those of components.

        Parameters
        ----------
        proba : array-like of shape (n_samples, n_components)
            Responsibilities, as `predict_proba` of the model gives them.
        n_clusters : int or None, default=None
            Number of clusters. None: where the entropy bends most.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_clusters)
            Probabilities; a column of noise stays the last.
        """
        found, k = np.asarray(proba), self.tree.n_components
        if found.ndim != 2 or found.shape[1] not in (k, k + 1):
            raise ConfigError(
                f"proba has the shape {found.shape}; expected (rows, {k}), as predict_proba gives "
                "it."
            )
        columns = [found[:, list(own)].sum(axis=1) for own in self.clusters(n_clusters)]
        out: Floats = np.column_stack([*columns, *found[:, k:].T])
        return out

    def predict(self, proba: Any, n_clusters: int | None = None) -> Any:
        """Return the cluster of each row: the most probable one, or -1 for noise.

        The parameters are those of `predict_proba`.
        """
        found = self.predict_proba(proba, n_clusters)
        labels = found.argmax(axis=1)
        noise = labels == len(self.clusters(n_clusters))
        return np.where(noise, -1, labels).astype(np.int32)

    def _checked(self, n_clusters: int | None) -> int:
        k = self.tree.n_components
        if n_clusters is None:
            return self.n_clusters
        if isinstance(n_clusters, bool) or not isinstance(n_clusters, int | np.integer):
            raise ConfigError(f"n_clusters={n_clusters!r}; expected a whole number, or None.")
        if not 1 <= n_clusters <= k:
            raise ConfigError(f"n_clusters={n_clusters}; expected 1 to {k}, the components.")
        return int(n_clusters)

    def table(self) -> Mapping[str, Sequence[Any]]:
        """Return a row for each number of clusters, from k down to 1, as columns by name."""
        tree, k = self.tree, self.tree.n_components
        groups = [tree.groups(n) for n in range(k, 0, -1)]
        merged = [_merged(before, after) for before, after in pairwise(groups)]
        entropy = tree.entropy[::-1]
        return {
            "n_clusters": list(range(k, 0, -1)),
            "combined": ["", *(" + ".join(map(_named, pair)) for pair in merged)],
            "entropy": entropy.tolist(),
            "gain": [None, *(-np.diff(entropy)).tolist()],
            "rows_combined": [None, *tree.merged_weight().tolist()],
            "clusters": [[list(group) for group in one] for one in groups],
        }

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas data frame with a row for each number of clusters.

        Columns are ``n_clusters``, ``combined`` (what the step combines), ``entropy`` in nats,
        ``gain`` (by how much it fell), ``rows_combined`` (their expected weight) and ``clusters``.
        """
        pandas: Any = need("pandas", "A data frame of combined components")
        return pandas.DataFrame(self.table())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the steps, and what a figure of the tree needs."""
        table = self.table()
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        return {
            "components": self.tree.n_components,
            "n_clusters": self.n_clusters,
            "steps": rows,
            "linkage": self.tree.linkage().tolist(),
        }

    def page(self, facts: Sequence[tuple[str, str]] = ()) -> Page:
        """Return a line for each number of clusters."""
        best = self.n_clusters
        named = ", ".join(_named(group) for group in self.clusters())
        told = [*facts, ("entropy bends at", f"{best} clusters: {named}")]
        table = self.table()
        rows = [
            [str(n), what, f"{entropy:.4g}", "" if gain is None else f"{gain:.4g}",
             "" if weight is None else f"{weight:,.0f}"]
            for n, what, entropy, gain, weight, _ in zip(*table.values(), strict=True)
        ]  # fmt: skip
        header = ("clusters", "combined", "entropy", "gain", "rows combined")
        return Page(told, header, rows, ("combined",))

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        return self.page().to_markdown()


def _merged(before: list[tuple[int, ...]], after: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the two clusters that are in `before` and not in `after`."""
    return [group for group in before if group not in after]


def _named(group: tuple[int, ...]) -> str:
    return str(group[0]) if len(group) == 1 else "{" + ", ".join(map(str, group)) + "}"
