"""Schedules: the ways in which EM iterates. Each file has one, named ``schedule``."""
