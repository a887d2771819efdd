"""Tests of emdist.jobs: runs as things, and plans."""
