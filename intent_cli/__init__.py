"""The `intent` command: thin, above all layers."""
