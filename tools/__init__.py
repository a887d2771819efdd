"""Developer tools that the make targets of the project call."""
