"""A transformer over the customer's last baskets or events, with what else is known as a second input."""

from training.models.network.member import NetworkMember
from training.models.network.settings import sequence_parameters
from training.models.parameters import one_of
from training.models.sequence_transformer.layers import encode

__all__ = ["MEMBER"]

PARAMETERS = (
    one_of("heads", 4, (1, 2, 4, 8), "heads of the attention"),
    *sequence_parameters(units=32, learning_rate=1e-3, warm_up=0.1),
)

MEMBER = NetworkMember("sequence_transformer", encode, PARAMETERS)
