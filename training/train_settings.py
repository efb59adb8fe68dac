"""The section [train] of `intent.toml`: which members are fitted, and from how many origins they forecast."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["Train", "require_members"]


class Train(BaseModel):
    """The pool of members, and the rolling origins of their forward predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...] | None = None
    """The pool; without it, all members that can answer the task."""
    origins: Annotated[int, Field(ge=2, le=12)] = 2
    """From how many moments members forecast what follows, the start of validation being the last: more say more
    about how to combine, and each costs fitting every member once more."""

    @field_validator("members")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (not names or len(set(names)) < len(names)):
            raise ValueError("expected at least one member, each once")
        return require_members(names) if names is not None else None


def require_members(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names` if all are members; a ValueError lists the known, as pydantic wants it."""
    from training.models import member_names  # members know the settings of a fit

    known = member_names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"member {unknown[0]!r} is not known; expected one of {', '.join(known)}")
    return names
