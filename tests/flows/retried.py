"""Runs the flow that clusters, with retries of Prefect's own, on the configuration in a file."""

from __future__ import annotations

import sys

from emdist.flows.cluster import cluster
from emdist.settings.file import read_config

if __name__ == "__main__":
    cluster.with_options(retries=20, retry_delay_seconds=2)(read_config(sys.argv[1]))
