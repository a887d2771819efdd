"""Kinds of Dask clusters: one file each, holding one frozen dataclass named by ``cluster``.

``open()`` is a context that yields a `distributed.Client` and closes what it started.
"""
