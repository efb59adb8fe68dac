"""`intent publish`."""


def publish() -> None:
    """To come."""
