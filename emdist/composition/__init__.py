"""Makes the objects that do the work from a configuration, and checks that memory suffices."""
