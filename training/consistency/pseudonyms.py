"""Who the pseudonyms of a served log stand for: the shop's own customers, hashed under the same key."""

from collections.abc import Callable, Iterable

import pyarrow as pa

from feature_repo.errors import SettingsError
from training.consistency.served_log import ServedRows

__all__ = ["KnownCustomers"]

_USER = "user_id"


class KnownCustomers:
    """The customers that may be in a log.

    `pseudonym` gives the one of an id under the service's key, None if there is no key; `ids` gives all ids, and is
    asked once, when the first pseudonym is met.
    """

    def __init__(
        self, pseudonym: Callable[[str], str] | None = None, ids: Callable[[], Iterable[str]] = tuple[str, ...]
    ) -> None:
        self._pseudonym = pseudonym
        self._ids = ids
        self._found: dict[str, str] | None = None

    def revealed(self, rows: ServedRows) -> pa.Table:
        """Return what `rows` were asked for, by the customers' own ids.

        One who is not among the ids keeps the pseudonym: the offline store knows as little of it as of the customer.

        Raises:
            SettingsError: the rows have pseudonyms, and there is no key or another one.
        """
        if rows.hidden is None or _USER not in rows.asked.column_names:
            return rows.asked
        if self._pseudonym is None or self._pseudonym("") != rows.hidden:
            under = "a key" if self._pseudonym is None else "another key"
            raise SettingsError(
                f"The served log has pseudonyms under {under}; expected the one that the service had. Name it in "
                "INTENT_ID_KEY_FILE."
            )
        if self._found is None:
            self._found = {self._pseudonym(user_id): user_id for user_id in self._ids()}
        known = [self._found.get(hidden, hidden) for hidden in rows.asked[_USER].to_pylist()]
        place = rows.asked.column_names.index(_USER)
        return rows.asked.set_column(place, _USER, pa.array(known, pa.string()))
