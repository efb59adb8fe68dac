"""Figures beside what they are meant to reach, told at the end of a run: a busy machine may miss a quiet one's."""

__all__ = ["Bounds"]


class Bounds:
    """Collects figures beside their bounds."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._missed = 0

    def most(self, what: str, value: float, bound: float) -> None:
        """Note a figure that is to be at most `bound`."""
        self._note(what, value, f"at most {bound:g}", value <= bound)

    def least(self, what: str, value: float, bound: float) -> None:
        """Note a figure that is to be at least `bound`."""
        self._note(what, value, f"at least {bound:g}", value >= bound)

    def told(self) -> int:
        """Print all of them; return 1 if one is missed, else 0."""
        print(f"bounds: {len(self._lines) - self._missed} of {len(self._lines)} held")
        for line in self._lines:
            print(line)
        return 1 if self._missed else 0

    def _note(self, what: str, value: float, wanted: str, held: bool) -> None:
        self._lines.append(f"  {what:55} {value:10.3f}   {wanted}{'' if held else '   MISSED'}")
        self._missed += not held
