"""Tools of the project's own make targets."""
