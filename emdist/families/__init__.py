"""One distribution per file; a module with a constant ``family`` is found by its name."""
