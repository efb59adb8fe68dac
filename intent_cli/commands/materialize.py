"""`intent materialize`."""


def materialize() -> None:
    """To come."""
