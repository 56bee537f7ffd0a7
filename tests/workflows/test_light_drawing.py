import re

import numpy as np

from anylead.workflows.light_drawing import lighten
from anylead.workflows.view import draw


def traces(svg: str) -> list[np.ndarray]:
    """The long paths that are no grid, as (points, 2) in millimetres."""
    found = []
    for path in re.findall(r"<path[^>]*>", svg):
        d = re.search(r'\bd="([^"]*)"', path).group(1)
        if "fill" not in path or len(d) < 2000:
            continue
        numbers = np.array([float(v) for v in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", d)]).reshape(-1, 2)
        found.append(np.cumsum(numbers, axis=0) if "l" in d else numbers)
    return found


def test_no_peak_is_lost_and_the_drawing_is_short(record):
    heavy = draw(record, seconds=6.0).to_svg()
    light = lighten(heavy)
    assert len(light) < len(heavy) / 4
    before, after = traces(heavy), traces(light)
    assert len(before) == len(after) == 12
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other[[0, -1]], one[[0, -1]], atol=0.006)
        np.testing.assert_allclose(other[:, 1].min(), one[:, 1].min(), atol=0.006)
        np.testing.assert_allclose(other[:, 1].max(), one[:, 1].max(), atol=0.006)
        # What remains lies on the trace that was there.
        np.testing.assert_allclose(other[:, 1], np.interp(other[:, 0], *one.T), atol=0.01)


def test_a_gap_stays_a_gap(record):
    record.signal[:, 700:900] = np.nan
    light = lighten(draw(record, seconds=6.0).to_svg())
    long = [d for d in re.findall(r' d="([^"]*l[^"]*)"', light) if len(d) > 2000]
    assert len(long) >= 12
    assert all(
        max(abs(np.diff(t[:, 0]))) < 0.5 or "M" in d[1:] for d, t in zip(long, traces(light), strict=False)
    )


def test_every_line_of_the_grid_is_still_there(record):
    heavy = draw(record, seconds=6.0).to_svg()
    light = lighten(heavy)
    drawn = [d for d in re.findall(r'<path d="(M[^"l]*)"', light)]
    assert sum(d.count("M") for d in drawn) == heavy.count("<line ")
    assert "<line " not in light
