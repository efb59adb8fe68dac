"""The errors that the plug-ins raise: each says what was received, what was expected and what to do next."""


class IntentStoreError(Exception):
    """Root of every error that this package raises on purpose."""


class ConfigurationError(IntentStoreError, ValueError):
    """A setting in `feature_store.yaml`, a tag of a source or an argument cannot be used as it is."""


class SourceError(IntentStoreError, ValueError):
    """A data source cannot answer the question that was asked of it."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """No file was found where a source says that its data is."""


class SourceColumnMissingError(SourceError):
    """A source has no column of a name that a feature view, an entity or the source itself uses."""


class SourceColumnTypeError(SourceError):
    """A source's column has a type that its role (time, key, list element) does not allow."""


class SourceChangedError(SourceError):
    """A source's files were replaced while they were being read; no answer was given."""


class EntityRowsError(IntentStoreError, ValueError):
    """The entity rows cannot be joined: no usable timestamp, a missing key, a clash of names."""


class EntityKeyTypeError(EntityRowsError):
    """An entity key's type can never equal the source's: joining would silently give only nulls."""


class OutOfResourcesError(IntentStoreError, RuntimeError):
    """A join needed more memory or spill space than it was allowed; nothing was written."""


class QueryError(IntentStoreError, RuntimeError):
    """DuckDB gave up on a query: a broken file, values that cannot be read as their column's type."""


class NotSupportedError(IntentStoreError, NotImplementedError):
    """Feast asked for something that it leaves to a store's choice, and this store does not offer it."""


class WriteError(IntentStoreError, RuntimeError):
    """Rows could not be written; the destination is as it was before."""


class FeatureValueError(IntentStoreError, ValueError):
    """A value cannot be held by its feature's type, or names a feature that the view does not have."""


class OnlineKeyError(IntentStoreError, ValueError):
    """Entity keys cannot be looked up: a join key is missing, null or of a type that cannot be a key."""


class OnlineStoreUnavailableError(IntentStoreError, RuntimeError):
    """An online store could not take what was written; what it held before is as it was."""


class LedgerError(IntentStoreError, RuntimeError):
    """The ledger of materialisation cannot be used, or another run holds the view; no watermark has moved."""
