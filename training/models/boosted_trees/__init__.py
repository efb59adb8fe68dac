"""Gradient-boosted trees over all tabular features."""
