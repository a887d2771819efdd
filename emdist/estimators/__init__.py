"""The Python API in scikit-learn's style: estimators that take Zarr, Dask and NumPy arrays."""
