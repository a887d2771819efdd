"""Sources read rows block by block from Zarr or NumPy arrays (Dask: `emdist.engines.dask`)."""
