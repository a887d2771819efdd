"""What users see: the lines and warnings of a run, its summary, and the results of commands."""
