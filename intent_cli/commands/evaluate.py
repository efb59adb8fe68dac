"""`intent evaluate`."""


def evaluate() -> None:
    """To come."""
