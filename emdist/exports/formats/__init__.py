"""Formats of exported models, one per file: each has a function `write` and its `suffix`."""
