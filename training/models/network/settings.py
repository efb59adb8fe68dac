"""The parameters that every network has, with the space in which they are searched."""

from training.models.parameters import Parameter, Value, flag, one_of, real, whole

__all__ = ["network_parameters", "sequence_parameters"]


def network_parameters(**defaults: Value) -> tuple[Parameter, ...]:
    """Return the parameters of training and of the layers after the architecture's own, with other defaults if given.

    Raises:
        KeyError: a default is of no parameter.
    """
    declared = {parameter.name: parameter for parameter in _SHARED}
    for name, value in defaults.items():
        old = declared[name]
        declared[name] = Parameter(**{**vars(old), "default": value})
    return tuple(declared.values())


def sequence_parameters(**defaults: Value) -> tuple[Parameter, ...]:
    """Return the parameters of a network over a sequence, with other defaults if given."""
    own = {name: value for name, value in defaults.items() if name in {parameter.name for parameter in _OF_SEQUENCE}}
    shared = network_parameters(**{name: value for name, value in defaults.items() if name not in own})
    changed = [Parameter(**{**vars(p), "default": own.get(p.name, p.default)}) for p in _OF_SEQUENCE]
    return (*changed, *shared)


_OF_SEQUENCE = (
    whole("units", 64, 4, 256, "width of the state", log=True),
    whole("layers", 1, 1, 4, "layers over the sequence"),
    whole("steps", 50, 2, 512, "newest steps of a list that are read", log=True, searched=False),
    one_of("embedding", 8, (0, 4, 8, 16, 32), "width of embedded codes of items and categories; 0 reads no codes"),
)

_SHARED = (
    whole("hidden", 64, 4, 512, "width of the layer that joins everything", log=True),
    real("dropout", 0.2, 0.0, 0.6, "share of values that are dropped in training"),
    real("l1", 0.0, 1e-7, 1e-3, "L1 penalty on weights", log=True),
    real("l2", 0.0, 1e-7, 1e-1, "L2 penalty on weights", log=True),
    real("weight_decay", 1e-4, 1e-6, 1e-1, "decay of weights, apart from the loss", log=True),
    real("learning_rate", 2e-3, 1e-4, 2e-2, "step size at its highest", log=True),
    one_of("schedule", "cosine", ("cosine", "constant"), "how the step size falls"),
    real("warm_up", 0.0, 0.0, 0.3, "share of the steps over which the step size rises first", searched=False),
    whole("batch", 1024, 16, 8192, "rows of a step, at most", log=True, searched=False),
    whole("epochs", 8, 1, 200, "passes over the data, at most", searched=False),
    whole("patience", 3, 1, 50, "passes without a better loss on later dates before it stops", searched=False),
    whole("networks", 1, 1, 10, "networks that are fitted, each from a seed of its own, and averaged", searched=False),
    flag("class_weights", False, "both classes weigh the same in training; probabilities are corrected for it"),
    flag("indicators", False, "a column for each number that may be missing, saying whether it is"),
)
