"""A connection to PostgreSQL that does not wait for ever: a server that is frozen accepts connections all the same."""

from typing import Any

import psycopg
from psycopg.errors import OperationalError

__all__ = ["BoundedConnection", "connect_bounded"]

_ANSWER_SECONDS = 5.0


class BoundedConnection(psycopg.Connection[Any]):
    """One whose every exchange ends, or is given up, within five seconds.

    Whether a statement that was given up is carried out later is not known: its caller must be able to repeat it.

    Raises:
        OperationalError: no answer in time; the connection is closed.
    """

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Do as psycopg's, for five seconds at most."""
        try:
            return super().wait(gen, interval, _ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # a late answer must not be taken for another statement's
            raise OperationalError(f"no answer within {_ANSWER_SECONDS:g} seconds") from error


def connect_bounded(_dialect: Any, _record: Any, arguments: Any, settings: Any) -> BoundedConnection:
    """Open a `BoundedConnection` where SQLAlchemy's engine (event `do_connect`) would open psycopg's own."""
    return BoundedConnection.connect(*arguments, **settings)
