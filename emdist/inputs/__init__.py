"""What users hand over: names, numbers, options, arrays and frames, checked or refused."""
