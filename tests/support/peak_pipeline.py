"""Fit and apply a pipeline that streams, and print the peak memory of the process in bytes.

``python peak_pipeline.py DATA``: DATA is the path of a Zarr array.
"""

from __future__ import annotations

import sys

from sklearn.pipeline import make_pipeline

from benchmarks.memory import peak_memory
from emdist import GaussianMixture
from emdist.engines.threads import LocalEngine
from emdist.prepare import PCA, StandardScaler


def main() -> None:
    """Fit, label, look."""
    more = {"engine": LocalEngine(2), "block_size": "32 MiB"}
    rule = {"max_iter": 2, "tol": 0, "cache": "off"}
    mixture = GaussianMixture(4, init_params="random", random_state=0, **rule, **more)
    pipeline = make_pipeline(StandardScaler(**more), PCA(8, **more), mixture)
    pipeline.fit(sys.argv[1])
    print(len(pipeline.predict(sys.argv[1])), peak_memory())


if __name__ == "__main__":
    main()
