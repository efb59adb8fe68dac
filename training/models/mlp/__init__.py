"""A network over all features of the table, without a sequence."""
