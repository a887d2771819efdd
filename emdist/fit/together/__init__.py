"""Several fits, or the restarts of one, which advance together and share their reads."""
