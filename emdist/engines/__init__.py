"""Engines: apply a task to all blocks, on threads of this process or on a Dask cluster."""
