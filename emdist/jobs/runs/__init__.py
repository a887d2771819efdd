"""Runs as things: listed, compared and deleted, in local folders and object stores."""
