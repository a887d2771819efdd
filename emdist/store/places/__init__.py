"""Places: local folders and object stores, their files, failures and credentials."""
