"""What users are shown: the lines and warnings of a run, its summary, the answers of commands."""
