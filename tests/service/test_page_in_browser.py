"""The page in a real browser: upload, leads, matches, review by keyboard, and what goes wrong is said."""

from urllib.parse import urlsplit

import pytest

from browser import CHROMIUM, Browser
from page_server import EVIL, LEADS, PAGE, PageServer

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

TABS = ("recording", "worklist", "map", "gallery")
# The colour under an element is that of the nearest one around it that has any.
CONTRAST = """(() => {
  const light = (rgb) => rgb.map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const under = (e) => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color).slice(0, 3)), light(under(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor; })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def server():
    server = PageServer()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ecg(tmp_path):
    path = tmp_path / "rest-ecg.csv"
    path.write_text("I,II\n1,2\n")
    return path


@pytest.fixture
def page(browser, server):
    page = browser.page(server.address)
    yield page
    complaints, addresses = page.complaints(), page.addresses()
    page.close()
    assert complaints == []
    here = urlsplit(server.address).netloc
    assert {urlsplit(address).netloc for address in addresses} == {here}


@pytest.fixture
def opened(page, ecg):
    page.files("#files", ecg)
    page.says("#verdict", "P007")
    page.says("#classify-message", "Found")
    return page


def ink(page, paper, x, y, width, height):
    """Returns the colours in a piece of a paper's canvas, rarest last."""
    return page.js(
        f"(() => {{ const c = document.querySelector('#{paper} canvas');"
        f"const d = c.getContext('2d').getImageData({x}, {y}, {width}, {height}).data; const n = {{}};"
        "for (let i = 0; i < d.length; i += 4) {"
        "const k = `${d[i]},${d[i+1]},${d[i+2]}`; n[k] = (n[k] ?? 0) + 1; }"
        "return Object.entries(n).sort((a, b) => b[1] - a[1]).map(([k]) => k); })()"
    )


def test_a_recording_is_uploaded_drawn_and_identified(opened, server):
    assert server.uploads == [{"parts": [("file", "rest-ecg.csv")]}]
    assert "12 leads, 10.0 s" in opened.text("#upload-message")
    assert "97.0 % (92.0 % to 100 %)" in opened.text("#matches")
    assert "left bundle branch block" in opened.text("#classes")
    assert "4,950 pairs" in opened.text("#identify-notes")
    assert len(ink(opened, "record-paper", 0, 0, 800, 300)) > 3
    opened.says("#match-paper", "Patient P007, ward/P007-1")
    assert "/v1/gallery/records/ward/P007-1/signal" in [path for path, _ in server.asked]


def test_several_files_are_sent_together(page, server, tmp_path):
    for name in ("a.hea", "a.dat"):
        (tmp_path / name).write_bytes(b"x")
    page.js("document.querySelector('[name=fs]').value = '500'")
    page.files("#files", tmp_path / "a.hea", tmp_path / "a.dat")
    page.says("#verdict", "P007")
    assert server.uploads == [{"parts": [("file", "a.hea"), ("file", "a.dat"), ("fs", None)]}]


def test_a_dropped_file_is_uploaded(page, server):
    page.js(
        "(() => { const d = new DataTransfer(); d.items.add(new File(['x'], 'dropped.csv'));"
        "document.querySelector('#drop').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: d, bubbles: true, cancelable: true})); })()"
    )
    page.says("#verdict", "P007")
    assert server.uploads == [{"parts": [("file", "dropped.csv")]}]


def test_answers_follow_the_leads_and_changes_in_a_row_ask_once(opened, server):
    before = len(server.bodies("/v1/identify"))
    for lead in LEADS[2:]:
        opened.click(f"#lead-toggles input[value={lead}]")
    opened.says("#verdict", "Undecided")
    opened.wait("!document.querySelector('#opened').classList.contains('waiting')")
    assert [body["leads"] for body in server.bodies("/v1/identify")[before:]] == [["I", "II"]]
    assert server.bodies("/v1/classify")[-1]["leads"] == ["I", "II"]
    opened.js(
        "[...document.querySelectorAll('#lead-presets button')].find((b) => b.innerText === 'Only I').click()"
    )
    opened.says("#verdict", "Nobody here")
    opened.says("#verdict", "91.0 %")


def test_an_absent_lead_is_drawn_in_grey(opened):
    opened.click("#lead-toggles input[value=I]")
    opened.wait("document.querySelector('#lead-toggles input[value=II]').checked")
    absent = "195,201,208"
    opened.wait("!document.querySelector('#opened').classList.contains('waiting')")
    assert absent in ink(opened, "record-paper", 0, 20, 280, 90)
    assert absent not in ink(opened, "record-paper", 330, 20, 250, 90)


def test_without_a_lead_nothing_is_asked(opened, server):
    opened.js("document.querySelectorAll('#lead-toggles input').forEach((box) => box.click())")
    opened.says("#verdict", "Choose at least one lead.")
    assert opened.js("document.querySelector('#match').hidden")
    assert None not in [body["leads"] for body in server.bodies("/v1/identify")[1:]]


def test_leads_that_fit_no_set_are_undecided(opened):
    opened.js(
        "document.querySelectorAll('#lead-toggles input:not([value=V6])').forEach((box) => box.click())"
    )
    opened.says("#verdict", "nothing in the gallery can be compared")
    assert opened.text("#matches") == ""


def test_what_the_server_sends_is_text(opened):
    assert EVIL in opened.text("#matches")
    assert opened.js("document.querySelectorAll('main img').length") == 0
    assert opened.js("document.title").startswith("anylead")


def test_calipers_measure_by_key_and_by_mouse(opened):
    opened.js("document.querySelector('#record-paper .paper-scroll').focus()")
    opened.press("c")
    assert opened.text("#record-paper output") == "800 ms, 75 bpm, 1.00 mV"
    opened.press("ArrowRight")
    opened.press("ArrowUp")
    assert opened.text("#record-paper output") == "810 ms, 74 bpm, 1.05 mV"
    opened.press("ArrowRight", shift=True)
    assert opened.text("#record-paper output") == "800 ms, 75 bpm, 1.05 mV"
    opened.press("Escape")
    assert opened.text("#record-paper output") == ""
    x, y = opened.js(
        "(() => { const r = document.querySelector('#record-paper canvas').getBoundingClientRect();"
        "return [r.x, r.y]; })()"
    )
    for kind, dx in (("mousePressed", 100), ("mouseMoved", 200), ("mouseReleased", 200)):
        opened.mouse(kind, x + dx, y + 50)
    per_second = opened.js("document.querySelector('#record-paper .paper-length').clientWidth") / 10
    assert opened.text("#record-paper output").startswith(f"{round(100 / per_second * 1000)} ms")


def test_a_long_recording_is_fetched_as_it_is_scrolled(page, server, ecg):
    server.duration_s = 95
    page.files("#files", ecg)
    page.says("#verdict", "P007")
    fetched = [path for path, _ in server.asked].count("/v1/records/h1/signal")
    assert fetched <= 2
    page.js("document.querySelector('#record-paper .paper-scroll').focus()")
    page.press("End")
    page.wait("document.querySelector('#record-paper .paper-scroll').scrollLeft > 5000")
    wide = "document.querySelector('#record-paper .paper-length').clientWidth"
    before = page.js(wide)
    page.press("+")
    assert page.js(wide) > before
    page.press("0")
    assert page.js(wide) == before
    page.wait("document.querySelector('#record-paper .paper-scroll').scrollLeft > 5000")
    assert [path for path, _ in server.asked].count("/v1/records/h1/signal") - fetched <= 4


def test_a_match_that_is_not_kept_is_said(page, server, ecg):
    server.broken["GET /v1/gallery/records/ward/P007-1/signal"] = 404
    page.files("#files", ecg)
    page.says("#match-message", "keeps no signals")
    page.click("#matches button[data-record='ward/P012-2']")
    page.says("#match-paper", "Patient P012")
    assert page.js("document.querySelector('#matches button[aria-pressed=true]').innerText") == "ward/P012-2"


def test_the_worklist_is_reviewed_by_keyboard(page, server):
    page.click("#tab-worklist")
    page.says("#case", "1 of 4")
    assert "Of 3 suspects, expect 0.90 (0.25 to 1.75) to be filed wrongly" in page.text("#worklist-message")
    assert "less than 99 in 100" in page.text("#case")
    page.wait("document.querySelectorAll('#case-drawings canvas').length === 3")
    page.press("a")
    page.says("#review-message", "Saved: ward/P000-2 accepted. 1 of 4 reviewed.")
    page.press("j")
    page.says("#case", "3 of 4: may be a duplicate")
    page.press("k")
    page.says("#case", "2 of 4")
    page.press("n")
    for letter in "jar":
        page.press(letter)
    page.press("Escape")
    page.press("j")
    page.press("k")
    page.press("r")
    page.says("#review-message", "rejected. 2 of 4")
    page.press("u")
    page.says("#review-message", "unsure. 3 of 4")
    assert [server.bodies(f"/v1/worklist/case-{n}/review") for n in range(3)] == [
        [{"verdict": "accept", "note": ""}],
        [{"verdict": "reject", "note": "jar"}],
        [{"verdict": "unsure", "note": ""}],
    ]
    page.press("?")
    assert page.js("document.querySelector('#keys-dialog').open")
    page.press("a")
    assert server.bodies("/v1/worklist/case-3/review") == []


def test_a_review_that_was_not_saved_is_said(page, server):
    server.broken["POST /v1/worklist/case-0/review"] = (403, "role", "This key may read but not review.")
    page.click("#tab-worklist")
    page.says("#case", "1 of 4")
    page.press("a")
    page.says("#review-message", "Not saved. This key may read but not review.")
    assert "accepted" not in page.text("#case-list")


def test_the_map_is_read_by_mouse_keys_and_list(page):
    page.click("#tab-map")
    page.says("#map-count", "The first 100 of 120")
    page.js("document.querySelector('#scatter').focus()")
    page.press("ArrowRight")
    page.says("#map-reading", "Patient P000, recording ward/P000-1; joined to 1 other")
    page.js("(() => { const f = document.querySelector('#map-filter'); f.value = 'P059-2';"
            "f.dispatchEvent(new Event('input')); })()")  # fmt: skip
    page.says("#map-count", "1 recording.")
    page.js("document.querySelector('#map-list button').focus()")
    page.says("#map-reading", "ward/P059-2")


def test_the_gallery_is_described(page):
    page.click("#tab-gallery")
    page.says("#gallery-body", "60, 60 of them with several recordings")
    rows = page.js("[...document.querySelectorAll('#gallery-body tbody tr')].map((row) => row.innerText)")
    assert [row.split()[0] for row in rows] == ["12", "6", "I"]
    assert "own calibration, 60 persons" in rows[0]
    assert "together with other lead sets" in rows[1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            (413, "too_large", "The body is larger than 64 MB; send a part of the recording."),
            "larger than 64 MB",
        ),
        (413, "refused this with 413"),
        ((415, "format", "rest-ecg.csv is in no format that is read here."), "is in no format"),
        ((422, "unreadable", "rest-ecg.csv has no sampling rate; give one as fs."), "no sampling rate"),
        (500, "Request r-1."),
    ],
)
def test_an_upload_that_is_refused_says_why(page, server, ecg, status, words):
    server.broken["POST /v1/records"] = [status]
    page.files("#files", ecg)
    page.says("#upload-message", words)
    assert page.js("document.querySelector('#opened').hidden")
    page.click("#upload-message button")
    page.says("#verdict", "P007")


def test_a_busy_server_is_asked_again(page, server, ecg):
    server.broken["POST /v1/identify"] = [429, 429]
    page.files("#files", ecg)
    page.says("#verdict", "P007")
    assert len(server.bodies("/v1/identify")) == 3


def test_a_model_without_classifier_and_a_server_without_gallery(page, server, ecg):
    server.broken["POST /v1/classify"] = (409, "no_classifier", "This bundle has no classification head.")
    server.broken["POST /v1/identify"] = (409, "no_gallery", "No gallery is open.")
    page.files("#files", ecg)
    page.says("#classify-message", "has no classifier")
    page.says("#verdict", "No gallery is open on this server")
    server.broken["GET /v1/gallery"] = (404, "no_gallery", "No gallery is open.")
    page.click("#tab-gallery")
    page.says("#gallery-message", "anylead serve --gallery")


def test_an_expired_upload_is_sent_again(opened, server):
    server.broken["POST /v1/identify"] = (404, "no_record", "No such record.")
    opened.click("#lead-toggles input[value=V1]")
    opened.says("#verdict", "has forgotten this upload")
    del server.broken["POST /v1/identify"]
    opened.click("#verdict button")
    opened.says("#verdict", "P007")
    assert len(server.uploads) == 2


def test_a_server_that_went_away_is_said(opened, server):
    server.shutdown()
    server.server_close()
    opened.click("#lead-toggles input[value=V1]")
    opened.says("#verdict", "The server does not answer. Is anylead serve still running?")


def test_a_key_is_asked_for_used_and_kept_nowhere(page, server):
    server.key = "secret"
    page.click("#tab-gallery")
    page.wait("document.querySelector('#key-dialog').open")
    for letter in "wrong":
        page.press(letter)
    page.press("Enter")
    page.says("#key-why", "was not accepted")
    page.wait("document.querySelector('#key-dialog').open")
    for letter in "secret":
        page.press(letter)
    page.press("Enter")
    page.says("#gallery-body", "120")
    assert (
        page.js("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]'
    )
    assert "secret" not in page.js("location.href + document.body.innerHTML")


def test_without_a_key_the_answer_is_a_sentence(page, server):
    server.key = "secret"
    page.click("#tab-map")
    page.wait("document.querySelector('#key-dialog').open")
    page.press("Escape")
    page.says("#map-message", "This server wants an API key.")


@pytest.mark.parametrize("width", [390, 1024, 1600])
def test_nothing_sticks_out_sideways(opened, width):
    opened.resize(width)
    for tab in TABS:
        opened.click(f"#tab-{tab}")
        opened.js("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        opened.wait(f"document.querySelector('#{tab}').innerText.length > 100")
        assert opened.js("document.documentElement.scrollWidth") == width, tab


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(opened, dark):
    opened.colours(dark=dark)
    opened.wait("getComputedStyle(document.body).backgroundColor === "
                f"'{'rgb(14, 19, 24)' if dark else 'rgb(243, 245, 248)'}'")  # fmt: skip
    for tab, words in zip(TABS, ("P007", "1 of 4", "P000", "Recordings"), strict=True):
        opened.click(f"#tab-{tab}")
        opened.says(f"#{tab}", words)
        assert opened.js(CONTRAST) == [], tab
    opened.says("#theme", "Colours: system")
    for name in ("dark", "light", "system"):
        opened.click("#theme")
        assert opened.text("#theme") == f"Colours: {name}"


def test_tabs_work_by_keyboard_and_say_where_they_are(page):
    page.js("document.querySelector('#tab-recording').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert page.js("document.activeElement.id") == "tab-map"
    assert page.js("location.hash") == "#map"
    assert page.js("document.querySelector('#recording').hidden && !document.querySelector('#map').hidden")


def test_everything_to_press_has_a_name(opened):
    for tab in TABS:
        opened.click(f"#tab-{tab}")
        opened.wait(f"document.querySelector('#{tab}').innerText.length > 100")
    nameless = opened.js(
        "[...document.querySelectorAll('button, input, select')].filter((e) => !(e.innerText || e.ariaLabel"
        " || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []


def test_the_page_is_plain_files_that_name_no_other_host():
    for path in PAGE.iterdir():
        text = path.read_text()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path.name
        assert "https://" not in text, path.name
        assert not any(word in text for word in ("innerHTML", "eval(", "document.write", "localStorage")), (
            path.name
        )
    assert "style=" not in (PAGE / "index.html").read_text()
