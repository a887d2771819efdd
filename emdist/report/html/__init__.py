"""The report of a run: one self-contained HTML page for a colleague who was not there."""
