"""Where the features are: `INTENT_ONLINE_URL`, such as `sqlite:////srv/shop/online.db?project=purchase_intent`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from feature_repo.errors import DependencyDown

__all__ = ["VARIABLE", "OnlineUrl", "read_online_url"]

VARIABLE = "INTENT_ONLINE_URL"
_EXPECTED = "expected sqlite:///<absolute path of Feast's online database>?project=<Feast project>"


@dataclass(frozen=True)
class OnlineUrl:
    """An online store of Feast in a SQLite file."""

    path: Path
    project: str

    def __str__(self) -> str:
        return f"sqlite:///{quote(str(self.path))}?project={quote(self.project)}"


def read_online_url(text: str | None) -> OnlineUrl:
    """Return the store that `text`, the value of `INTENT_ONLINE_URL`, names.

    Raises:
        DependencyDown: unset, of another kind of store, without a project, or with a relative path (the server
            changes its working folder, so that a relative path would be looked for somewhere else).
    """
    if not text:
        raise DependencyDown(f"{VARIABLE} is not set; {_EXPECTED}. Run `intent materialize`, then `intent serve`.")
    parts = urlsplit(text)
    project = parse_qs(parts.query).get("project", [""])
    path = Path(unquote(parts.path[1:]))
    if parts.scheme != "sqlite" or parts.netloc or not path.is_absolute() or len(project) != 1 or not project[0]:
        # Not the value itself: other kinds of store carry a password in it.
        raise DependencyDown(f"{VARIABLE} cannot be used: got a {parts.scheme or 'bare'!r} address; {_EXPECTED}.")
    return OnlineUrl(path, project[0])
