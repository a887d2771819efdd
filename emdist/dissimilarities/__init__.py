"""One dissimilarity per file; a module with a constant ``dissimilarity`` is found by its name."""
