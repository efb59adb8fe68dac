"""Which bento to serve, in which environment, on which port; `server_process.py` runs it."""

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from feature_repo.errors import DependencyDown, InputError, SourceDataError
from intent_cli.id_key import id_key
from intent_cli.server_process import ServerProcess, stopping_signals
from services.bind_address import require_keys_beyond_loopback
from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE
from services.hashed_ids import KEY_FILE_VARIABLE
from services.model_slots import FOLDER_VARIABLE
from services.online_url import VARIABLE, RedisUrl, SqliteUrl
from training.packaging.bundle import Bundle
from training.packaging.publish import bentoml_home

__all__ = ["Bento", "free_port", "published_bento", "published_home", "running"]

LOOPBACK = "127.0.0.1"
_ANY = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  what is listened on everywhere is reached here
# With uvicorn's own 5 s, a kept connection is now and then closed at the moment its next request arrives.
_KEPT = ("--timeout-keep-alive", "75")
# A free port may be taken before the server, which takes seconds to start, listens on it.
_PORTS_TRIED = 3
_TAKEN = "Address already in use"


@dataclass(frozen=True)
class Bento:
    """A built bento, the online store it is to read, and where `intent promote` says which models answer.

    Without `slots` the model that it was built with answers, whatever was promoted. `id_key` is the file of the key
    under which customers are logged; None: the environment names it, or nothing is logged.
    """

    tag: str
    home: Path
    online: SqliteUrl | RedisUrl
    slots: Path | None = None
    id_key: Path | None = None

    def command(self, port: int, host: str = LOOPBACK) -> list[str]:
        """The command line that serves it on `host`, an IP address."""
        return [sys.executable, "-m", "bentoml", "serve", self.tag, "--host", host, *_KEPT, "--port", str(port)]

    def environment(self, workers: int, keys: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment it is served in: where its models and features are, `keys` or none, no telemetry."""
        return os.environ | {
            "BENTOML_HOME": str(self.home),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_CONFIG_OPTIONS": f"services.PurchaseIntent.workers={workers}",
            VARIABLE: self.online.setting,
            FOLDER_VARIABLE: "" if self.slots is None else str(self.slots),
            **{FILE_VARIABLE: "", KEYS_VARIABLE: ""},
            **({} if self.id_key is None else {KEY_FILE_VARIABLE: str(self.id_key)}),
            **(keys or {}),
        }


def published_bento(out: Path, online: SqliteUrl | RedisUrl, *, logs: bool = False) -> Bento:
    """Return the bento that the run in `out` published, with its model verified; `logs`: it will log what it serves.

    Raises:
        SourceDataError: the run has published nothing, or the online store is a file that was not materialised.
        BundleError: the model in the store is not what was published.
    """
    published = out / "published.json"
    if not published.exists():
        raise SourceDataError(
            f"Nothing is published in {out}: got no published.json; expected a built bento. Run `intent publish` first."
        )
    if isinstance(online, SqliteUrl) and not online.path.exists():
        raise SourceDataError(f"No online store at {online.path}; expected one. Run `intent materialize` first.")
    tags = json.loads(published.read_text())
    bento = Bento(tags["bento"], published_home(out), online, id_key=id_key(out, logs=logs))
    model, digest = tags["model"].split(":")
    Bundle.load(bento.home / "models" / model / digest / "bundle")
    name, version = bento.tag.split(":")
    if not (bento.home / "bentos" / name / version).is_dir():
        raise SourceDataError(
            f"Bento {bento.tag} is not in {bento.home}; expected it there. Run `intent publish` again."
        )
    return bento


def published_home(out: Path) -> Path:
    """Return the BentoML home that the run in `out` published to, or BENTOML_HOME where it published nothing."""
    published = out / "published.json"
    if not published.exists():
        return bentoml_home()
    # Relative to the run, so that both may move together; a run that was moved alone finds BENTOML_HOME.
    beside = (out / json.loads(published.read_text())["home"]).resolve()
    return beside if beside.is_dir() else bentoml_home()


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def require_free(port: int, host: str = LOOPBACK) -> None:
    """Refuse a port that somebody listens on, and a host that is no address of this machine.

    Raises:
        InputError: the port is in use, or not one that can be listened on.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except (OSError, OverflowError) as problem:
        raise InputError(
            f"Port {port} of {host} cannot be listened on ({problem}); expected a free one. Stop what uses it, or "
            "choose another: PORT=3001 make serve."
        ) from None


@contextmanager
def running(
    bento: Bento,
    port: int | None,
    workers: int = 1,
    log: Path | None = None,
    host: str = LOOPBACK,
    keys: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """Serve the bento while the block runs, and yield its process once it is ready.

    A `port` of None is any that is free. `log` is added to, for another server of the run may write to it. `keys` are
    the variables that name API keys, and others that the server is to have. Where none of them names keys, it is served
    without, whatever this process's environment says: on the loopback address alone.

    Raises:
        InputError: the port is in use, or the host is reached by others and there are no keys.
        DependencyDown: the server ends or is not ready within two minutes; the message tells why.
    """
    require_keys_beyond_loopback([host], any((keys or {}).get(name) for name in (FILE_VARIABLE, KEYS_VARIABLE)))
    if port is not None:
        require_free(port, host)
    near = _ANY.get(host, host)
    environment = bento.environment(workers, keys)
    with (log or Path(os.devnull)).open("a+") as sink, stopping_signals():
        for left in reversed(range(1 if port else _PORTS_TRIED)):
            chosen, begin = port or free_port(), sink.seek(0, os.SEEK_END)
            address = f"http://{f'[{near}]' if ':' in near else near}:{chosen}"
            server = ServerProcess(bento.command(chosen, host), environment, address, sink)
            try:
                if _is_ready(server, sink, begin, may_fail=left > 0):
                    yield server
                    return
            finally:
                server.stop()


def _is_ready(server: ServerProcess, sink: TextIO, begin: int, *, may_fail: bool) -> bool:
    """Wait for a server, and say whether it is ready; it is not if another process took the port meanwhile.

    Raises:
        DependencyDown: it ended or is not ready for another reason, or it may not fail.
    """
    try:
        server.wait_until_ready()
    except DependencyDown:
        sink.seek(begin)
        if may_fail and _TAKEN in sink.read():
            return False
        raise
    return True
