"""Arrow without pandas, for a process that needs none."""

from services.left_out import left_out

__all__ = ["forgo_pandas"]


def forgo_pandas() -> None:
    """Have Arrow find no pandas: else it imports it with its first array, for a third of a small ingest's whole time.

    Arrow looks once and for all; whoever else imports pandas later in this process gets it, but Arrow will not know it.
    """
    import pyarrow as pa

    with left_out("pandas"):
        pa.array([0])  # here Arrow looks
