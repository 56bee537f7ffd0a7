"""The report in a real browser: nothing sticks out sideways, on a desk and on a telephone."""

import re
import shutil
import subprocess
from html import escape

import pytest

from anylead.evaluation.figures import interval_figure, line_figure
from anylead.evaluation.forest_figure import forest_figure
from anylead.evaluation.report import Report, Section, Table, render_html
from anylead.evaluation.results import Interval

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VALUE = Interval(value=0.8123, low=0.781, high=0.839, resamples_used=1000)
FEW = Interval(value=0.8123, low=0.781, high=0.839, resamples_used=1999, resamples_undefined=1)
LONG = "untrained 0, band-passed, gain 2, attentive probe of these leads"
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --virtual-time-budget=3000 --dump-dom"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


def page():
    systems = [LONG, "pre-trained, probe", "hand-made features"]
    columns = (
        "System",
        "12 leads",
        "8 leads",
        "6 leads",
        "4 leads",
        "3 leads",
        "2 leads",
        "lead I",
        "lead II",
    )
    table = Table(caption="Macro AUROC", columns=columns, rows=tuple((name, *[FEW] * 8) for name in systems))
    figures = (
        forest_figure(dict.fromkeys(systems, VALUE), caption="forest", axis="macro AUROC"),
        interval_figure({one: {"12": VALUE, "I": VALUE} for one in systems}, caption="bars", axis="AUROC"),
        line_figure({name: [(1, VALUE), (12, VALUE)] for name in systems}, caption="l", axis="a", x_axis="x"),
    )
    folded = Table(caption="All", columns=columns, rows=table.rows, folded=True)
    section = Section(title="Fixed lead sets", notes=("word " * 80,), tables=(table, folded), figures=figures)
    return render_html(Report(title="A report", summary=("One sentence. " * 9,), sections=(section,) * 8))


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(tmp_path, width):
    # The page itself runs no script: one around it looks at it in a frame as wide as the screen.
    (tmp_path / "frame.html").write_text(
        f'<iframe id="f" style="width:{width}px;height:900px;border:0" srcdoc="{escape(page())}"></iframe>'
        "<p id=told></p><script>f.onload=()=>{const d=f.contentDocument,e=d.documentElement;"
        "for(const x of d.querySelectorAll('details'))x.open=true;"
        "const out=[...d.querySelectorAll('main *')].filter("
        "x=>x.getBoundingClientRect().right>e.clientWidth+1).map(x=>x.tagName);"
        "told.textContent=`wide ${e.scrollWidth} of ${e.clientWidth}, high ${e.scrollHeight}, out ${out}`}"
        "</script>"
    )
    words = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*words, (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = re.search(r'id="told">wide (\d+) of (\d+), high (\d+), out ([^<]*)<', done.stdout)
    assert found, done.stdout[-500:]
    assert int(found[1]) <= int(found[2])
    assert int(found[3]) > 2000
    assert found[4] == ""
