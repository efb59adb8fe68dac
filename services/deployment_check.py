"""What is wrong with how the service is about to be served, told before anything listens. No BentoML."""

import os
from collections.abc import Mapping

from feature_repo.errors import SettingsError
from services.bind_address import require_keys_beyond_loopback
from services.configured_keys import configured_keys
from services.hashed_ids import id_hasher, required_id_hasher
from services.served_log import FOLDER_VARIABLE

__all__ = ["deployment_trouble", "host_of_command"]


def deployment_trouble(host: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return why the service must not be served on `host`, or None.

    Keys that cannot be used, or none on an address that others reach; a key of user ids that cannot be used, or none
    where they would be logged.
    """
    try:
        keys = configured_keys(environment)
        require_keys_beyond_loopback([host], keys is not None)
        id_hasher(environment)
        if environment.get(FOLDER_VARIABLE):
            required_id_hasher(environment, FOLDER_VARIABLE)
    except SettingsError as error:
        return str(error)
    return None


def host_of_command() -> str | None:
    """Return the host that `bentoml serve` was told by an option or a variable, or None."""
    import click  # BentoML's command line is built with it, and knows what it was told

    context = click.get_current_context(silent=True)
    host = None if context is None else context.params.get("host")
    return str(host) if host else None
