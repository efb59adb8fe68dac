"""A transformer over the customer's last baskets or events, with what else is known as a second input."""

from dataclasses import replace

from training.models.network.member import NetworkMember
from training.models.network.settings import sequence_parameters
from training.models.parameters import one_of
from training.models.sequence_transformer.layers import encode

__all__ = ["MEMBER"]

SHARED = sequence_parameters(units=16, learning_rate=0.01, warm_up=0.15, dropout=0.15)
PARAMETERS = (
    one_of("heads", 4, (1, 2, 4, 8), "heads of the attention"),
    # How long the rise has to be, and to which rate, is one question: it is searched here, unlike elsewhere.
    *(replace(one, searched=True) if one.name == "warm_up" else one for one in SHARED),
)

MEMBER = NetworkMember("sequence_transformer", encode, PARAMETERS)
