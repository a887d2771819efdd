"""Sources of rows: Zarr and NumPy arrays, block by block (Dask arrays: `emdist.engines.dask`)."""
