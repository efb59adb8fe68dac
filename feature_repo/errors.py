"""The one tree of errors.

    IntentError
    ├── InputError                what the user gave cannot be used            (exit code 1)
    │   ├── SettingsError         intent.toml: missing, malformed, unknown key
    │   ├── SourceDataError       a file or table of the shop: missing, truncated, wrong columns or types
    │   ├── SplitError            dates that leave a split without anchors, or that cut a label window
    │   ├── FeatureError          a feature, view or sequence that is not what was declared
    │   ├── BundleError           a bundle that is incomplete, altered or of another schema
    │   └── RequestError          a scoring request that cannot be answered
    ├── DifferenceFound           two things that must agree do not, or a threshold was passed (exit code 2)
    └── DependencyDown            a store, port or server that is needed does not answer      (exit code 3)

A message says what was received, what was expected, and what to do next; personal data is never in it.
"""

__all__ = [
    "BundleError",
    "DependencyDown",
    "DifferenceFound",
    "FeatureError",
    "InputError",
    "IntentError",
    "RequestError",
    "SettingsError",
    "SourceDataError",
    "SplitError",
]


class IntentError(Exception):
    """Every error that this project raises on purpose."""

    exit_code = 1


class InputError(IntentError):
    """What the user gave cannot be used; nothing was changed."""


class SettingsError(InputError):
    """`intent.toml` is missing, malformed, or holds a key that is not known."""


class SourceDataError(InputError):
    """A file or table of the shop is missing, truncated, or has other columns or types than expected."""


class SplitError(InputError):
    """The dates of the splits leave one of them without anchors, or cut a label window."""


class FeatureError(InputError):
    """A feature, view or sequence is not what was declared."""


class BundleError(InputError):
    """A model bundle is incomplete, was altered, or was made for another feature schema."""


class RequestError(InputError):
    """A scoring request cannot be answered as it stands."""


class DifferenceFound(IntentError):
    """Two things that must agree do not, or a threshold was passed."""

    exit_code = 2


class DependencyDown(IntentError):
    """A store, port or server that is needed does not answer."""

    exit_code = 3
