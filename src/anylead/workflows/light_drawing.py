"""A drawing on ECG paper in a fraction of its characters, for pages that hold many."""

import re
from collections import defaultdict
from itertools import pairwise

Point = tuple[float, float]

_LINE = re.compile(r'<line x1="([^"]+)" y1="([^"]+)" x2="([^"]+)" y2="([^"]+)"([^>]*?) ?/>')
_TRACE = re.compile(r' d="M([-\d., L]+)"')
_GROUP = 4
"""Points of which the lowest and the highest stay: 0.2 mm at 500 Hz, less than the line is wide."""
_SHORT = 100
"""Points of a path that is no trace."""


def lighten(svg: str) -> str:
    """Returns a drawing that looks the same and is about a fifth as long.

    The lines of the grid that share colour, width and panel become one path; of every four points of a trace
    the lowest and the highest stay, so that no peak is lost; lengths are rounded to 0.01 mm.

    Args:
        svg: As `anylead.workflows.view.draw` makes it: lengths are millimetres.
    """
    grid: dict[str, list[str]] = defaultdict(list)
    for x1, y1, x2, y2, style in _LINE.findall(svg):
        grid[style].append(
            f"M{_number(float(x1))} {_number(float(y1))}L{_number(float(x2))} {_number(float(y2))}"
        )

    def joined(line: re.Match[str]) -> str:
        # All stand where the first stood, below the traces.
        segments = grid.pop(line.group(5), None)
        return f'<path d="{"".join(segments)}"{line.group(5)}/>' if segments else ""

    return _TRACE.sub(_thinned, _LINE.sub(joined, svg))


def _thinned(path: re.Match[str]) -> str:
    parts = [[_point(word) for word in part.split("L")] for part in path.group(1).split("M")]
    return f' d="{"".join(map(_relative, map(_extremes, parts)))}"'


def _point(word: str) -> Point:
    x, y = word.split(",")
    return float(x), float(y)


def _extremes(points: list[Point]) -> list[Point]:
    """Keeps both ends, and of each group the lowest and the highest point in their order."""
    if len(points) < _SHORT:
        return points
    kept = [points[0]]
    for start in range(1, len(points) - 1, _GROUP):
        group = points[start : min(start + _GROUP, len(points) - 1)]
        kept += sorted({min(group, key=lambda p: p[1]), max(group, key=lambda p: p[1])})
    return [*kept, points[-1]]


def _relative(points: list[Point]) -> str:
    # Hundredths as integers: differences of rounded places don't add up errors.
    places = [(round(100 * x), round(100 * y)) for x, y in points]
    steps = (f"{_number((b[0] - a[0]) / 100)} {_number((b[1] - a[1]) / 100)}" for a, b in pairwise(places))
    return f"M{_number(places[0][0] / 100)} {_number(places[0][1] / 100)}l{' '.join(steps)}"


def _number(value: float) -> str:
    """Returns a length to 0.01 without what need not be written: ``-.5``, ``12``."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return {"-0": "0"}.get(text, text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text)
