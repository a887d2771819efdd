"""One file per peer or limit; a function named after a task takes part in it."""
