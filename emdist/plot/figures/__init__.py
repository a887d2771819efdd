"""One figure per file: its module-level ``CHART`` says what it shows and what it needs."""
