"""The page of ``emdist evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.report.page import Page, numbered


def page_of_evaluation(found: Mapping[str, Any]) -> Page:
    """Return the page of the figures of `emdist.jobs.evaluate.evaluate_run`."""
    facts = [
        ("silhouette", f"{found['silhouette']:.4f} (-1 to 1; squared Euclidean distances)"),
        ("Davies-Bouldin", f"{found['davies_bouldin']:.4f} (smaller is better)"),
        ("Calinski-Harabasz", f"{found['calinski_harabasz']:,.1f} (larger is better)"),
    ]
    if truth := found.get("truth"):
        facts += [
            ("adjusted Rand", f"{truth['adjusted_rand']:.4f} (1: the same clusters; 0: by chance)"),
            ("adjusted mutual information", f"{truth['adjusted_mutual_information']:.4f}"),
            (
                "homogeneity, completeness",
                f"{truth['homogeneity']:.4f}, {truth['completeness']:.4f} "
                f"(V-measure {truth['v_measure']:.4f})",
            ),
            ("compared with", f"{truth['labels']}: {numbered(truth['rows'], 'row')}"),
        ]
    left = found["rows_left_out"]
    facts += [
        ("labels", found["labels"]),
        ("data", f"{found['data']}: {numbered(found['rows'], 'row')}"),
        *([("left out", f"{numbered(left, 'row')} without a label")] if left else []),
    ]
    rows = [
        [str(one["label"]), f"{one['rows']:,}", f"{one['silhouette']:.4f}"]
        for one in found["clusters"]
    ]
    return Page(facts, ("label", "rows", "silhouette"), rows)
