"""A member together with what it is told: whoever fits it need not know its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from training.dataset.examples import Examples
from training.models import LEAVE_OUT, member
from training.models.contract import FitSettings, Fitted, Member, Parameter, Value, chosen_parameters
from training.required_packages import require_packages

__all__ = ["ToldMember", "require_installed", "told_member"]


@dataclass(frozen=True)
class ToldMember:
    """`found`, fitted with the parameters `told` whatever else a fit is told."""

    found: Member
    told: Mapping[str, Value]

    @property
    def name(self) -> str:
        """The member's name."""
        return self.found.name

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The member's parameters."""
        return self.found.parameters

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit the member with its own parameters."""
        return self.found.fit(train, validation, replace(settings, parameters=self.told))


def told_member(name: str, parameters: Mapping[str, Mapping[str, Value]] | None = None) -> ToldMember:
    """Return the member `name` with what `parameters` (member → parameter → value) says of it, checked.

    Raises:
        InputError: there is no such member, or no such parameter, or its value is not accepted.
    """
    found, told = member(name), (parameters or {}).get(name, {})
    chosen_parameters(name, found.parameters, told)
    return ToldMember(found, told)


def require_installed(one: ToldMember) -> None:
    """Refuse a member that needs a package which is not installed; the message has the command that installs it.

    Raises:
        InputError: so it is.
    """
    require_packages(f"Member {one.name!r}", getattr(one.found, "packages", ()), LEAVE_OUT)
