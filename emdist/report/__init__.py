"""What a run tells its user when it is done."""
