"""Logistic regression on recency, frequency, monetary value and tenure."""
