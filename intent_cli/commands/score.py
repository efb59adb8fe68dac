"""`intent score`."""


def score() -> None:
    """To come."""
