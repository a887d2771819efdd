"""Dissimilarities of K-centroids, one per file.

A module with a constant ``dissimilarity`` is a plug-in, which is found by the name of the module.
"""
