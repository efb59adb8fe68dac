"""Where the features are: `INTENT_ONLINE_URL`, such as `sqlite:////srv/shop/online.db?project=purchase_intent`."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from feature_repo.errors import DependencyDown

__all__ = ["VARIABLE", "RedisUrl", "SqliteUrl", "read_online_url"]

VARIABLE = "INTENT_ONLINE_URL"
_EXPECTED = (
    "expected sqlite:///<absolute path of the online store>?project=<Feast project>, or "
    "redis://<user>:<password>@<host>:<port>/<db>?project=<Feast project> (rediss:// for TLS)"
)


@dataclass(frozen=True)
class SqliteUrl:
    """A packed online store in a SQLite file."""

    path: Path
    project: str

    @property
    def setting(self) -> str:
        """The value of `INTENT_ONLINE_URL` that names it."""
        return str(self)

    def __str__(self) -> str:
        return f"sqlite:///{quote(str(self.path))}?project={quote(self.project)}"


@dataclass(frozen=True)
class RedisUrl:
    """A packed online store in Redis. `address` is for its client, and may hold a password; `str` never does."""

    address: str = field(repr=False)
    project: str

    @property
    def setting(self) -> str:
        """The value of `INTENT_ONLINE_URL` that names it, password included: for a process's environment alone."""
        return f"{self.address}{'&' if urlsplit(self.address).query else '?'}project={quote(self.project)}"

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}?project={quote(self.project)}"


def read_online_url(text: str | None) -> SqliteUrl | RedisUrl:
    """Return the store that `text`, the value of `INTENT_ONLINE_URL`, names. Nothing is opened.

    Raises:
        DependencyDown: unset, of another kind of store, without a project or a host, or with a relative path (the
            server changes its working folder, so that a relative path would be looked for somewhere else).
    """
    if not text:
        raise DependencyDown(f"{VARIABLE} is not set; {_EXPECTED}. Run `intent materialize`, then `intent serve`.")
    try:
        parts = urlsplit(text)
        usable = parts.port != 0  # reading a port that is no number raises
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise DependencyDown(f"{VARIABLE} cannot be used: it is no address; {_EXPECTED}.") from None
    projects = [value for name, value in query if name == "project" and value]
    if usable and len(projects) == 1:
        if parts.scheme == "sqlite" and not parts.netloc and Path(unquote(parts.path[1:])).is_absolute():
            return SqliteUrl(Path(unquote(parts.path[1:])), projects[0])
        if parts.scheme in ("redis", "rediss") and parts.hostname:
            rest = urlencode([pair for pair in query if pair[0] != "project"])
            return RedisUrl(parts._replace(query=rest).geturl(), projects[0])
    # Not the value itself: it may carry a password.
    raise DependencyDown(f"{VARIABLE} cannot be used: got a {parts.scheme or 'bare'!r} address; {_EXPECTED}.")
