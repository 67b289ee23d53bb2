"""Pages of money and calls, one file a subject."""
