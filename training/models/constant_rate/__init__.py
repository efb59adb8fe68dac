"""The base rate as a member: what any model has to beat."""
