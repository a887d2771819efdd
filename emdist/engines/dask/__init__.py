"""The engine of a Dask cluster: passes, placement, stalled workers, and faults in plain words."""
