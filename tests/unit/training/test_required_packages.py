"""What is installed is told with its version, and what is not is no reason to fail."""

from importlib.metadata import version

from training.required_packages import installed_versions


def test_only_what_is_installed_has_a_version():
    assert installed_versions(["numpy", "no-such-package-at-all"]) == {"numpy": version("numpy")}
