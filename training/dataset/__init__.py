"""Anchors, labels, time splits and the point-in-time training set."""
