"""Kinds of Dask clusters: each module has one frozen dataclass, under the name ``cluster``.

Its ``open()`` is a context that yields a `distributed.Client` and closes what it started.
"""
