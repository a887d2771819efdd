"""The scikit-learn face: estimators that take Zarr, Dask and NumPy alike."""
