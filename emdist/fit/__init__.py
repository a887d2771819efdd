"""Survey, seeding, passes, the loop and the run: EM as a value that is advanced."""
