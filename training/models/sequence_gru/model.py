"""A GRU over the customer's last baskets or events, with what else is known as a second input."""

from training.models.network.member import NetworkMember
from training.models.network.settings import sequence_parameters
from training.models.sequence_gru.layers import encode

__all__ = ["MEMBER"]

MEMBER = NetworkMember("sequence_gru", encode, sequence_parameters())
