"""The comparison as an SVG, written by hand: no plotting library for one picture."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from tickets.evaluation.simulation.measuring import Estimate
from tickets.evaluation.simulation.policies import SHIPPED
from tickets.evaluation.simulation.study import Compared
from tickets.evaluation.simulation.table import named

WIDTH, HEIGHT = 960, 470
PANEL_WIDTH, PANEL_HEIGHT, TOP, LEFT, GAP = 390, 300, 110, 70, 90
# Okabe and Ito's colours, told apart with any eyes; shapes for print.
STYLES = {
    "shipped": ("#0072B2", "circle"),
    "least_loaded": ("#E69F00", "square"),
    "round_robin": ("#009E73", "diamond"),
    "skill_only": ("#CC79A7", "triangle"),
    "random": ("#595959", "cross"),
}
PANELS = (
    ("breaches", "Breaches, % of incidents"),
    ("skill_match", "Skill match, % of incidents"),
)
TICKS = 7  # at most, above 0
STEPS = (1, 2, 5, 10, 20)
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"

Scale = Callable[[float], float]


def draw(results: Sequence[Compared]) -> str:
    """A panel each for breaches and skill match, by load, with 95 % intervals over weeks."""
    body = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' {FONT} role='img' "
        "aria-labelledby='title desc'>",
        "<title id='title'>Assignment policies on a real incident log</title>",
        "<desc id='desc'>Breaches and skill match of five policies by load, with 95 % confidence "
        "intervals over weeks. docs/simulation.md has the numbers.</desc>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
        _text(LEFT, 34, "Assignment policies on a real incident log", size=19, weight=600),
        *_legend(results[0]),
    ]
    for number, (metric, title) in enumerate(PANELS):
        body += _panel(results, metric, title, LEFT + number * (PANEL_WIDTH + GAP))
    return "\n".join([*body, "</svg>", ""])


def _legend(compared: Compared) -> Iterator[str]:
    x = float(LEFT)
    for policy in compared.measured:
        yield _mark(policy, x + 6, 60)
        weight = 600 if policy == SHIPPED else 400
        yield _text(x + 18, 65, named(policy), size=14, weight=weight)
        x += 48 + 8 * len(policy)


def _panel(results: Sequence[Compared], metric: str, title: str, x: float) -> Iterator[str]:
    tops = [_ends(each[metric])[1] for one in results for each in one.measured.values()]
    step = next(each for each in STEPS if each * TICKS >= max(tops))
    highest = max(1, math.ceil(max(tops) / step)) * step
    bottom = TOP + PANEL_HEIGHT

    def y(percent: float) -> float:
        return bottom - percent / highest * PANEL_HEIGHT

    yield _text(x, TOP - 16, title, size=14, weight=600)
    for tick in range(0, highest + 1, step):
        colour = "#767676" if tick == 0 else "#e4e4e4"
        yield f"<path d='M{x} {y(tick):.1f}h{PANEL_WIDTH}' stroke='{colour}'/>"
        yield _text(x - 8, y(tick) + 4, str(tick), anchor="end")
    band = PANEL_WIDTH / len(results)
    for number, compared in enumerate(results):
        middle = x + band * (number + 0.5)
        yield _text(middle, bottom + 22, f"{compared.given.load:g}", anchor="middle")
        yield from _group(compared, metric, middle, band, y)
    yield _text(
        x + PANEL_WIDTH / 2, bottom + 44, "Load (share of the time in work)", anchor="middle"
    )


def _group(compared: Compared, metric: str, middle: float, band: float, y: Scale) -> Iterator[str]:
    """The policies at one load side by side, each with its interval."""
    pitch = min(15.0, band / (len(compared.measured) + 1))
    for place, (policy, measured) in enumerate(compared.measured.items()):
        x = middle + (place - (len(compared.measured) - 1) / 2) * pitch
        low, high = _ends(measured[metric])
        colour = STYLES[policy][0]
        yield (
            f"<path d='M{x:.1f} {y(low):.1f}V{y(high):.1f}M{x - 3:.1f} {y(low):.1f}h6"
            f"M{x - 3:.1f} {y(high):.1f}h6' stroke='{colour}' stroke-width='1.6' fill='none'/>"
        )
        yield _mark(policy, x, y(measured[metric].mean * 100))


def _ends(each: Estimate) -> tuple[float, float]:
    """The interval in percent, within 0 and 100."""
    low = each.mean if each.low is None else each.low
    high = each.mean if each.high is None else each.high
    return max(0.0, low * 100), min(100.0, high * 100)


def _mark(policy: str, x: float, y: float) -> str:
    colour, shape = STYLES[policy]
    at = f"transform='translate({x:.1f} {y:.1f})'"
    outlines = {
        "circle": "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z",
        "square": "M-4.5 -4.5h9v9h-9z",
        "diamond": "M0 -6L6 0L0 6L-6 0z",
        "triangle": "M0 -6L5.5 4.5L-5.5 4.5z",
        "cross": "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0z",
    }
    return f"<path {at} d='{outlines[shape]}' fill='{colour}' stroke='#ffffff'/>"


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' "
        f"text-anchor='{anchor}' fill='#222222'>{escape(text)}</text>"
    )
