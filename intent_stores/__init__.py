"""Feast plug-ins that need nothing else of this project: exact point-in-time joins, sequences as features."""
