"""How good the probabilities are, how sure we can be of it, and the page that shows it."""
