"""Commands of the command line in modules of their own, and the options that they share."""
