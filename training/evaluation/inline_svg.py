"""Matplotlib figures as SVG inside the page: its fonts, its colours in light and dark, no address in them."""

import io
import re
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

__all__ = ["COLOURS", "DASHES", "figure", "in_page_style", "inline_svg", "percent_axis", "series_colour", "tidy"]

P = ParamSpec("P")

# Matplotlib wants colours when it draws, the page chooses them when it is read: each of these hexadecimal colours
# stands for a variable of the page's style sheet and is replaced by it. They are arbitrary, but distinct.
COLOURS = {
    "ink": "#010203",
    "muted": "#020304",
    "grid": "#030405",
    "paper": "#040506",
    **{f"s{number}": f"#0a0b{number:02x}" for number in range(8)},
    **{f"v{number}": f"#0c0d{number:02x}" for number in range(5)},
}
SERIES = 7  # colours beside the ensemble's own, then they repeat with another dash
DASHES: tuple[str | tuple[int, Sequence[float]], ...] = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "purchase-intent",  # without it the ids, and so the page, differ from run to run
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a dollar sign in the name of a feature is a dollar sign
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"],
    "legend.fontsize": 8.5,
    "text.color": COLOURS["ink"],
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def in_page_style(draw: Callable[P, str]) -> Callable[P, str]:
    """Make `draw` run under the page's style; Matplotlib's own settings are as before when it returns."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> str:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def figure(width: float, height: float, columns: int = 1, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a new figure of `width` by `height` inches with `columns` axes side by side."""
    made = Figure(figsize=(width, height), layout="constrained")
    axes = made.subplots(1, columns, squeeze=False, sharey=share_y)
    return made, list(axes[0])


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Give `axes` its title and the names of its axes."""
    axes.set_title(title, pad=8)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def percent_axis(axis: Axis) -> None:
    """Write the ticks of a share as percentages."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="\N{NARROW NO-BREAK SPACE}%"))


def series_colour(place: int) -> str:
    """Return the colour of the member at `place`; 0 is the ensemble's."""
    return COLOURS["s0"] if place == 0 else COLOURS[f"s{1 + (place - 1) % SERIES}"]


def inline_svg(made: Figure, name: str, label: str) -> str:
    """Return `made` as an `<svg>` element; `name` makes its ids unique in the page, `label` says what it shows."""
    buffer = io.StringIO()
    made.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)[ >].*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    view_box = re.search(r'viewBox="([^"]*)"', text)
    widest = round(100 * made.get_figwidth())  # px: its text is then about the size of the page's small text
    head = (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" style="max-width:{widest}px" '
        f'viewBox="{view_box[1] if view_box else ""}">'
    )
    return head + _compact(text[text.index(">") + 1 :])


def _compact(text: str) -> str:
    """Drop what nobody sees: line breaks, and coordinates below a hundredth of a point. What is written stays."""

    def shortened(tag: re.Match[str]) -> str:
        return re.sub(r"(\d\.\d{2})\d+", r"\1", tag[0])

    return re.sub(r"\s*\n\s*", " ", re.sub(r"<[^>]+>", shortened, text)).strip()
