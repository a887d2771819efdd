"""What fitted models are worth: side by side, and what a careful statistician would doubt."""
