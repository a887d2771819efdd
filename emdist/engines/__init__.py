"""Where blocks are worked on: threads of this process, or the workers of a Dask cluster."""
