"""A multi-layer perceptron over all features of the table."""

from training.models.network.member import NetworkMember
from training.models.network.settings import network_parameters
from training.models.parameters import one_of, whole

__all__ = ["MEMBER"]

PARAMETERS = (
    whole("hidden_layers", 1, 1, 4, "layers between table and answer"),
    one_of("embedding", 8, (0, 4, 8, 16, 32), "width of the embedded codes of an item that is asked about"),
    *network_parameters(schedule="constant"),
)

MEMBER = NetworkMember("mlp", None, PARAMETERS)
