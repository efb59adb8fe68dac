"""`intent parity`."""


def parity() -> None:
    """To come."""
