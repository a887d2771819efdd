"""Families of distributions, one per file.

A module with a constant ``family`` is a plug-in, which is found by the name of the module.
"""
