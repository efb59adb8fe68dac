"""Packages that a member or a command imports only when used: told early, with the command that installs them."""

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from feature_repo.errors import InputError

__all__ = ["PLATFORM", "installed_versions", "not_installed", "require_packages"]

PLATFORM = frozenset({"keras", "onnx", "optuna", "scipy", "sklearn", "tensorflow", "tf2onnx", "xgboost"})
"""What `requirements/platform.txt` installs and not everything imports, under the names of the imports."""


def not_installed(who: str, package: str, otherwise: str = "") -> InputError:
    """Return the error that tells of a package which is not there.

    Args:
        who: needs it, at the beginning of a sentence.
        package: under its name in `import`.
        otherwise: what else one can do, such as ", or leave the member out".
    """
    return InputError(
        f"{who} needs the package {package!r}, which is not installed; expected the training environment. Run "
        f"`make setup` (or `pip install --require-hashes -r requirements/platform.txt`){otherwise}."
    )


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return package → version of those that are installed, under their names on the index."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def require_packages(who: str, packages: Iterable[str], otherwise: str = "") -> None:
    """Refuse what cannot be imported, without importing what can.

    Raises:
        InputError: a package is not installed; the message has the command.
    """
    for package in packages:
        if find_spec(package) is None:
            raise not_installed(who, package, otherwise)
