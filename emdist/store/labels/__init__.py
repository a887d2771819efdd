"""Labels of rows: written block by block, resumed after an interruption, and verified."""
