"""One script per headline figure; ``make bench`` runs them all on servers of its own and prints ratios measured in one run."""
