"""`intent serve`."""


def serve() -> None:
    """To come."""
