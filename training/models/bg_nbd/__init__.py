"""BG/NBD, the classical model of repeat purchases."""
