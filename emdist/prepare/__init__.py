"""Preparing rows before they are clustered: steps, what they learn, and sources that apply them.

One step per file. The transformers with scikit-learn's names are here too. They are resolved on
first use, because they need scikit-learn and the estimators, which are of a higher layer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emdist.estimators.prepared_rows import PreparedRows
    from emdist.estimators.transformers import PCA, Log1p, Normalizer, StandardScaler

__all__ = ["PCA", "Log1p", "Normalizer", "PreparedRows", "StandardScaler"]

_WHERE = {
    "PCA": "emdist.estimators.transformers",
    "Log1p": "emdist.estimators.transformers",
    "Normalizer": "emdist.estimators.transformers",
    "StandardScaler": "emdist.estimators.transformers",
    "PreparedRows": "emdist.estimators.prepared_rows",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'emdist.prepare' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
