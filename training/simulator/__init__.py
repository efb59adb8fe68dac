"""A synthetic shop whose true purchase probabilities, and so the best reachable scores, are known."""
