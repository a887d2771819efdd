"""Entry points of a clone: ``python -m flows.NAME`` is ``emdist flow NAME``. Not installed."""
