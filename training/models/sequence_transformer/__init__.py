"""A transformer over the sequence: each step looks back at all before it, by when they were."""
