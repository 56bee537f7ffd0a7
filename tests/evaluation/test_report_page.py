import json
import re
from html.parser import HTMLParser

import pytest

from anylead.errors import FileError
from anylead.evaluation.figures import curve_figure, interval_figure
from anylead.evaluation.report import Report, Section, Table, render_html, write_report
from anylead.evaluation.results import Interval

HOSTILE = '<script>alert("x")</script> & "quoted" $x_1$'
VALUE = Interval(value=0.8123, low=0.781, high=0.839, resamples_used=1000)


class Checker(HTMLParser):
    """Notes unbalanced tags, ids and everything that would be fetched or run."""

    EMPTY = ("meta", "path", "use", "br", "rect", "line")

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.fetched, self.text, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        named = dict(attributes)
        self.ids += [named["id"]] if "id" in named else []
        for name in ("src", "href", "xlink:href", "action"):
            if named.get(name) and not named[name].startswith("#"):
                self.fetched.append(named[name])
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def report():
    grid = {HOSTILE: {"12": VALUE, "2": Interval(value=None)}, "second": {"12": VALUE}}
    figures = (
        interval_figure(grid, caption=HOSTILE, axis=HOSTILE, references={HOSTILE: 0.5}),
        curve_figure([1, 2, 3], [0.3, 0.2, 0.1], caption="loss", axis="loss"),
    )
    table = Table(
        caption=HOSTILE,
        columns=("System", HOSTILE, "2 leads"),
        rows=((HOSTILE, VALUE, "text"), ("second", Interval(value=None), HOSTILE)),
    )
    section = Section(title=HOSTILE, notes=(HOSTILE,), tables=(table,), figures=figures)
    return Report(
        title=HOSTILE,
        summary=(HOSTILE,),
        sections=(section, section),
        provenance={"command": [HOSTILE]},
        results=(VALUE,),
    )


def checked(html):
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def test_page_is_well_formed_and_fetches_and_runs_nothing():
    html = render_html(report())
    page = checked(html)
    assert page.fetched == []
    assert "script" not in page.tags
    assert not re.search(r"url\((?!#)|@import", html)


def test_everything_the_caller_gives_is_shown_as_text():
    text = "".join(checked(render_html(report())).text)
    # Title twice, summary; in each of two sections heading, note, caption of the figure and, of the table,
    # caption, column, row and cell. What the figures write themselves comes besides.
    assert text.count('<script>alert("x")</script>') >= 3 + 2 * 7
    assert text.count('alert(\\"x\\")') == 1


def test_ids_are_unique_though_a_figure_stands_twice():
    ids = checked(render_html(report())).ids
    assert len(ids) == len(set(ids)) > 10


def test_cells_show_the_interval_and_say_what_is_undefined():
    html = render_html(report())
    assert '0.812 <span class="range">[0.78, 0.84]</span>' in html
    assert '<span class="none">undefined</span>' in html


def test_cells_count_the_resamples_left_out():
    partial = Interval(value=0.5, low=0.4, high=0.6, resamples_used=950, resamples_undefined=50)
    table = Table(caption="t", columns=("a", "b"), rows=(("r", partial),))
    html = render_html(Report(title="t", summary=(), sections=(Section(title="s", tables=(table,)),)))
    assert "950 of 1000 resamples" in html


def test_figures_follow_the_colours_of_the_page():
    for figure in report().sections[0].figures:
        colours = set(re.findall(r"#[0-9a-f]{6}\b", figure.svg))
        assert colours == set()
        assert "var(--series-1)" in figure.svg
        assert "currentColor" in figure.svg


def test_figures_describe_themselves_for_those_who_do_not_see():
    assert "second: 12 0.812 [0.78, 0.84]" in report().sections[0].figures[0].description
    assert "from 0.3 to 0.1" in report().sections[0].figures[1].description


def test_a_system_without_any_defined_value_still_draws():
    figure = interval_figure({"none": {"12": Interval(value=None)}}, caption="c", axis="a")
    assert "undefined" in figure.description


def test_same_report_same_page():
    assert render_html(report()) == render_html(report())


def test_written_files_hold_the_page_and_the_numbers(tmp_path):
    page = write_report(report(), tmp_path / "new" / "folder")
    assert page.name == "report.html"
    assert page.read_text(encoding="utf-8") == render_html(report())
    numbers = json.loads((page.parent / "report.json").read_text())
    assert numbers["format"] == 1
    assert numbers["results"][0]["low"] == 0.781
    assert numbers["sections"][0]["tables"][0]["rows"][0][1]["value"] == 0.8123
    assert "svg" not in numbers["sections"][0]["figures"][0]


def test_refuses_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="could not be written"):
        write_report(report(), tmp_path / "file")


def test_a_long_report_begins_with_links_to_its_sections():
    page = Report(title="long", summary=(), sections=tuple(Section(title=f"part {k}") for k in range(8)))
    html = render_html(page)
    targets = re.findall(r'<li><a href="#([^"]+)">', html)
    assert len(targets) == 8
    assert set(targets) <= set(checked(html).ids)
    assert "<nav" not in render_html(report())


def test_a_folded_table_opens_when_asked_for_and_says_how_long_it_is():
    rows = tuple((f"row {k}", VALUE) for k in range(30))
    table = Table(caption=HOSTILE, columns=("row", "value"), rows=rows, folded=True)
    html = render_html(Report(title="t", summary=(), sections=(Section(title="s", tables=(table,)),)))
    page = checked(html)
    assert "details" in page.tags
    assert f"{HOSTILE} (30 rows)" in "".join(page.text)
    assert "caption" not in page.tags
