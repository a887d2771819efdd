"""Serves the flow that clusters as a deployment of the given name, until it is told to end."""

from __future__ import annotations

import sys

from emdist.flows.cluster import cluster

if __name__ == "__main__":
    cluster.serve(sys.argv[1], pause_on_shutdown=False, print_starting_message=False)
