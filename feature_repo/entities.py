"""Who and what features are about."""

from feast import Entity, ValueType

__all__ = ["item", "user"]

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A customer of the shop.")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="An article it sells.")
