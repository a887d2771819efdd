"""Dissimilarities of K-centroids, one per file.

A module with a constant ``dissimilarity`` is a plug-in, which is found by the name of the module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.dissimilarities import base as base
    from emdist.dissimilarities import own as own
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
