"""From records to our rows: a plan first (no writes), then people, groups, catalogue, keys, money and history in that order."""
