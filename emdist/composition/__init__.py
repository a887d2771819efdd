"""From a configuration to the objects that do the work, held against the memory that there is."""
