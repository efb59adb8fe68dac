"""`intent train`."""


def train() -> None:
    """To come."""
