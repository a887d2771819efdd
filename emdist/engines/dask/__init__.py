"""The Dask engine: passes on a cluster, placement of blocks, stalled workers, clear errors."""
