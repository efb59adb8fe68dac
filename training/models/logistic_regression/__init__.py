"""Logistic regression on all features."""
