import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from anylead.errors import InputError, LeadError
from anylead.leads import STANDARD_12
from anylead.workflows.view import ViewConfig, draw, view

SVG = "{http://www.w3.org/2000/svg}"


def paths(svg: str) -> list[np.ndarray]:
    """Every polyline of a drawing, as (points, 2) in millimetres."""
    found = [e.get("d") for e in ET.fromstring(svg).iter(f"{SVG}path")]
    return [
        np.array([[float(v) for v in p.split(",")] for p in re.findall(r"[-\d.]+,[-\d.]+", d)]) for d in found
    ]


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}text")]


def traces(svg: str) -> list[np.ndarray]:
    return [p for p in paths(svg) if len(p) != 6]


def test_sheet_is_measured_in_millimetres(record):
    root = ET.fromstring(draw(record).to_svg())
    width, height = root.get("width"), root.get("height")
    assert root.get("viewBox") == f"0 0 {width.removesuffix('mm')} {height.removesuffix('mm')}"


def test_25_mm_per_second_and_10_mm_per_millivolt(record):
    flat = np.zeros((1, 2500), dtype=np.float32)
    flat[0, 1000:1500] = 1.0
    step = replace(record, signal=flat, leads=("II",))
    (trace,) = traces(draw(step, seconds=5.0).to_svg())
    rising, falling = trace[999:1001], trace[1499:1501]
    assert rising[0, 1] - rising[1, 1] == pytest.approx(10.0, abs=1e-4)
    assert falling[1, 0] - rising[1, 0] == pytest.approx(25.0, abs=1e-4)
    assert trace[-1, 0] - trace[0, 0] == pytest.approx(25.0 * 2499 / 500, abs=1e-4)


def test_calibration_pulse_is_1_mv_for_200_ms(record):
    pulse = next(p for p in paths(draw(record).to_svg()) if len(p) == 6)
    assert np.ptp(pulse[:, 1]) == pytest.approx(10.0)
    assert pulse[3, 0] - pulse[2, 0] == pytest.approx(5.0)


def test_grid_lines_are_one_and_five_millimetres_apart(record):
    lines = [e.attrib for e in ET.fromstring(draw(record.select(["I"])).to_svg()).iter(f"{SVG}line")]
    for width, spacing in (("0.06", 1.0), ("0.12", 5.0)):
        upright = sorted({float(a["x1"]) for a in lines if a["x1"] == a["x2"] and a["stroke-width"] == width})
        assert np.diff(upright) == pytest.approx(spacing)


def test_twelve_leads_and_a_rhythm_strip_are_named(record):
    chart = draw(record)
    assert [record.leads[p.lead] for p in chart.panels] == [*STANDARD_12, "II"]
    assert set(STANDARD_12) <= set(texts(chart.to_svg()))
    assert [p.width for p in chart.panels] == pytest.approx([62.5] * 12 + [250.0])


def test_title_says_record_rate_and_length(record):
    assert "beats · 500 Hz · 2-7 s of 10 s" in texts(draw(record, start_s=2.0, seconds=5.0).to_svg())


def test_one_absent_lead_of_twelve_is_an_empty_panel(record):
    eleven = record.select([lead for lead in STANDARD_12 if lead != "V3"])
    whole, without = draw(record).to_svg(), draw(eleven).to_svg()
    assert texts(without).count("not recorded") == 1
    assert "V3" in texts(without)
    assert len(traces(without)) == len(traces(whole)) - 1


def test_all_missing_samples_count_as_absent(record):
    signal = record.signal.copy()
    signal[8] = np.nan
    assert "not recorded" in texts(draw(replace(record, signal=signal)).to_svg())


def test_asked_for_leads_come_in_order_absent_ones_too(record):
    chart = draw(record.select(["I", "II"]), leads=("II", "V5", "I"))
    assert list(chart.record.names) == ["II", "V5", "I"]
    assert texts(chart.to_svg()).count("not recorded") == 1


def test_few_leads_are_drawn_without_the_others(record):
    assert list(draw(record.select(["II", "I"])).record.names) == ["I", "II"]


def test_missing_samples_are_a_gap(record):
    signal = record.signal[:1].copy()
    signal[0, 1000:1200] = np.nan
    first, second = traces(draw(replace(record, signal=signal, leads=("I",))).to_svg())
    assert second[0, 0] - first[-1, 0] == pytest.approx(25.0 * 201 / 500, abs=1e-4)


def test_long_stretch_continues_on_further_rows(record):
    twenty = replace(record, signal=np.tile(record.signal[:1], (1, 2)), leads=("I",))
    assert [p.width for p in draw(twenty, seconds=20.0).panels] == pytest.approx([250.0, 250.0])


def test_one_second_keeps_the_scale_and_the_title_on_the_sheet(record):
    chart = draw(replace(record, record_id="a_rather_long_record_name").select(["I"]), seconds=1.0)
    assert chart.panels[0].width == pytest.approx(25.0)
    assert chart.width_mm > 2.0 * len(chart.title)


def test_spike_beyond_the_range_is_cut_and_said(record):
    signal = record.signal[:1].copy()
    signal[0, 700] = 12.0
    chart = draw(replace(record, signal=signal, leads=("I",)))
    assert chart.panels[0].height == pytest.approx(60.0)
    assert "OUT OF RANGE" in texts(chart.to_svg())


@pytest.mark.parametrize(("ending", "start"), [(".svg", b"<svg"), (".png", b"\x89PNG")])
def test_writes_svg_and_png(record, tmp_path, ending, start):
    out = view(record, ViewConfig(out=tmp_path / f"a{ending}"))
    assert out.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{ending}"]


def test_default_name_is_that_of_the_record(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert view(replace(record, record_id="g1/beats")).name == "g1_beats.svg"


def test_refuses_other_endings(record, tmp_path):
    with pytest.raises(InputError, match=r"a\.pdf ends in '\.pdf'; name a file that ends in \.svg or \.png"):
        view(record, ViewConfig(out=tmp_path / "a.pdf"))


def test_refuses_a_start_after_the_end(record):
    with pytest.raises(InputError, match="lasts 10 s and the drawing would start at 11 s"):
        draw(record, start_s=11.0)


def test_refuses_more_than_a_minute(record):
    with pytest.raises(InputError, match="61 seconds were asked for; one drawing shows up to 60 s"):
        draw(record, seconds=61.0)


def test_refuses_a_lead_named_twice(record):
    with pytest.raises(LeadError, match="lead I is named more than once"):
        draw(record, leads=("I", "DI"))


@pytest.mark.real
def test_draws_real_recordings(real_data, tmp_path):
    for name, rows in (("ptb-xl/records500/00000/00001_hr", 13), ("ecg-id/Person_01/rec_1", 2)):
        svg = view(real_data / name, ViewConfig(out=tmp_path / "a.svg")).read_text()
        assert len(traces(svg)) == rows
        assert "not recorded" not in texts(svg)
