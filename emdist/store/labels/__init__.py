"""Labels of rows: written block by block, continued, and checked."""
