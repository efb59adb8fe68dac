"""Requests that offer to go on in another protocol, as Java's client does: HTTP/1.1 lets a server take no notice."""

import re

__all__ = ["without_upgrade"]

_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_OTHER_NAME = b"\r\nx-offer:"


def without_upgrade(data: bytes) -> bytes:
    """Return the bytes that begin a request, as long as before, with another name for an `Upgrade` in its head.

    httptools would end the request at its head, and take its body for the next request.

    >>> without_upgrade(b"POST /score HTTP/1.1\\r\\nUpgrade: h2c\\r\\n\\r\\nUpgrade: no header")
    b'POST /score HTTP/1.1\\r\\nx-offer: h2c\\r\\n\\r\\nUpgrade: no header'
    """
    if b"pgrade" not in data:  # told at once of nearly all; a name in odd letters is seen by the parser
        return data
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(_OTHER_NAME, head) + blank + rest
