"""The report page in a real browser: its charts work offline, and no name from a run can execute as code."""

import json
import re

import browser
import numpy as np
import pytest

from fl_simu.cli.app import main
from fl_simu.results.records import RoundRecord, UeOutcome, summarise

pytestmark = pytest.mark.xdist_group("browser")

# If the page did not show these texts literally, each would run, be fetched, or change its meaning.
RUN = "<img src=x onerror='pwned=1'>%{x}&lt;<b>"
NAME = "</title></script><script>pwned=2</script>"
UNIT = "J</script><script>pwned=3</script>\u2028"
LABEL = '<a href="javascript:pwned=4" onclick="pwned=4">energy</a> %{y} <!-- $1'
LIMIT = "<svg onload='pwned=5'> <!--<script>"
VALUE = "</pre></td></script><script>pwned=6</script><img src='https://example.org/x.png'>"
AXES = ["round", "virtual time [s]", "sent over the uplink, all UEs [bit]", f"{LABEL} [{UNIT}]"]
ROUNDS, UES = 5, 3


def write_run(folder, seed):
    """A run of three UEs that has ended."""
    folder.mkdir()
    draws, records = np.random.RandomState(seed), []
    for one in range(1, ROUNDS + 1):
        ues = [
            UeOutcome(ue, 1.0, (delay_s / 2, delay_s), 1000, "full" if delay_s < 0.1 else "base")
            for ue, delay_s in enumerate(draws.uniform(0.05, 0.15, UES).tolist())
        ]
        accuracy = one / 10 + seed / 100
        records.append(RoundRecord(one, 2.5 * one, accuracy, 1.0, 3000, tuple(ues), 0.1, meters={"e": 0.5}))
    summary = summarise(records, NAME, VALUE, "modern", seed, UES, "0" * 64)
    meter = {"unit": UNIT, "label": LABEL, "total": "sum", "axis": True, "figure": "", "value": 2.5}
    facts = {"meters": {"e</script>": meter}, "thresholds_s": {LIMIT: 0.1}}
    lines = [record.to_line().replace('"e"', json.dumps("e</script>")) for record in records]
    (folder / "rounds.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "summary.json").write_text(json.dumps({**summary.as_dict(), **facts}))
    key = json.dumps("key" + VALUE)
    (folder / "config.toml").write_text(f"{key} = {json.dumps(VALUE + str(seed))}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Path of a page on two runs."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [write_run(folder / name, seed) for seed, name in enumerate([RUN, "two"])]
    file = folder / "page.html"
    assert main(["report", *map(str, runs), "--out", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    program = browser.found()
    if program is None:
        pytest.skip("needs Chromium, as of `apt-get install chromium`")
    started = browser.Browser(program, tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture
def shown(page, chromium):
    """The browser with the page open, in the state that the previous test left."""
    if chromium.value("location.href") != page.as_uri():
        chromium.open(page.as_uri())
    return chromium


def texts(chromium, selector):
    return chromium.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)")


def click(chromium, selector):
    chromium.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
    box = chromium.value(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind in ("moved", "pressed", "released"):
        chromium.mouse(kind, x, y)


def choose(select, key):
    """JavaScript that acts as if a user had chosen an entry of a list."""
    one = f"document.getElementById('{select}')"
    return f"{one}.value = '{key}', {one}.dispatchEvent(new Event('change'))"


def curves(chromium, what):
    return chromium.value(f"document.getElementById('curves').data.map(one => {what})")


def spaced(text):
    """Spaces as SVG and tables show them."""
    return " ".join(text.split())


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "without one"])
def test_what_a_run_names_is_shown_as_it_stands(policy, page, chromium, tmp_path):
    file = page
    if not policy:
        # Without the content security policy, the page itself must not hold anything that runs.
        file = tmp_path / "page.html"
        policies, rest = re.subn('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))[
            ::-1
        ]
        assert policies == 1
        file.write_text(rest, encoding="utf-8")
    chromium.open(file.as_uri())
    for axis in range(len(AXES)):
        click(chromium, f"#curves-x button:nth-child({axis + 1})")
    for value in ("complete upload", "base layer"):
        click(chromium, f"#uploads-layer button[data-key='{value}']")

    assert chromium.value("typeof pwned") == "undefined"
    fetched = [one["request"]["url"] for one in chromium.said("Network.requestWillBeSent")]
    assert [address for address in fetched if not address.startswith("data:")] == [file.as_uri()]
    assert chromium.said("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled") == []
    assert chromium.value("document.scripts.length") == 3
    active = "img, [onerror], [onload], main a:not(.modebar-btn)"
    assert chromium.value(f"document.querySelectorAll('{active}').length") == 0
    assert texts(chromium, "h2") == ["All runs", RUN, "two"]
    assert NAME in texts(chromium, "#part-2 p")[0]
    assert [spaced(one) for one in texts(chromium, "#curves .legendtext")] == [spaced(RUN), "two"]
    assert [spaced(one) for one in texts(chromium, "#curves .xtitle")] == [spaced(AXES[-1])]
    assert f"{LIMIT}: 0.1 s" in texts(chromium, "#delays .textpoint text")
    assert texts(chromium, "pre")[0] == page.with_name(RUN).joinpath("config.toml").read_text(encoding="utf-8")
    assert VALUE + "0" in texts(chromium, "td")


def test_a_click_changes_the_x_axis(shown):
    accuracies = [[10.0, 20.0, 30.0, 40.0, 50.0], [11.0, 21.0, 31.0, 41.0, 51.0]]
    x = [range(1, 6), [2.5, 5, 7.5, 10, 12.5], [3000, 6000, 9000, 12000, 15000], [0.5, 1, 1.5, 2, 2.5]]
    for axis, (title, values) in enumerate(zip(AXES, x)):
        click(shown, f"#curves-x button:nth-child({axis + 1})")
        assert [spaced(one) for one in texts(shown, "#curves .xtitle")] == [spaced(title)]
        assert curves(shown, "one.x") == [list(values)] * 2
        assert curves(shown, "one.y") == accuracies
    assert texts(shown, "#curves-x button[aria-pressed=true]") == AXES[-1:]
    click(shown, "#curves-log")
    assert shown.value("document.getElementById('curves')._fullLayout.xaxis.type") == "log"
    click(shown, "#curves-x button:nth-child(3)")
    click(shown, "#curves-log")
    ticks = [spaced(one) for one in texts(shown, "#curves .xtick")]
    assert ticks == ["5k", "10k"], "15000 bits at most"
    click(shown, "#curves-x button:nth-child(4)")
    shown.value(choose("curves-y", "loss"))
    assert curves(shown, "one.y") == [[1.0] * ROUNDS] * 2
    assert texts(shown, "#curves .ytitle") == ["test loss"]


def test_hovering_tells_the_values_and_the_legend_hides_a_run(shown):
    click(shown, "#curves-x button:nth-child(1)")
    shown.value(choose("curves-y", "accuracy"))
    click(shown, "#curves .traces:nth-of-type(2) .legendtoggle")
    visible = "new Promise(done => setTimeout(() => done(one.visible ?? true), 600))"
    both = f"Promise.all(document.getElementById('curves').data.map(one => {visible}))"
    assert shown.value(both) == [True, "legendonly"]
    # It stays hidden when the axis changes.
    click(shown, "#curves-x button:nth-child(2)")
    assert shown.value(both) == [True, "legendonly"]
    click(shown, "#curves .traces:nth-of-type(2) .legendtoggle")
    assert shown.value(both) == [True, True]
    box = shown.value("document.querySelectorAll('#curves .point')[2].getBoundingClientRect().toJSON()")
    shown.mouse("moved", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hovered = "document.querySelector('#curves .hoverlayer').textContent"
    told = spaced(shown.value(f"new Promise(done => setTimeout(() => done({hovered}), 300))"))
    assert spaced(RUN) in told
    assert "round 3" in told and "test accuracy [%]: 30" in told and "virtual time [s]: 7.5" in told


def test_uploads_by_ue_and_by_round(shown, page):
    lines = page.with_name("two").joinpath("rounds.jsonl").read_text().splitlines()
    outcomes = [(record["round"], one) for record in map(json.loads, lines) for one in record["ues"]]
    shown.value(choose("uploads-run", "1"))
    click(shown, "#uploads-layer button[data-key='complete upload']")
    for by, places in (("ue", range(UES)), ("round", range(1, ROUNDS + 1))):
        click(shown, f"#uploads-by button[data-key='{by}']")
        told = shown.value("document.getElementById('shares').data.map(one => [one.name, one.x, one.y])")
        keys = [one["ue"] if by == "ue" else at for at, one in outcomes]
        for (name, x, y), kind in zip(told, ("full", "base", "none")):
            assert x == list(places)
            kinds = [one["accepted"] == kind for _, one in outcomes]
            assert y == [sum(had for key, had in zip(keys, kinds) if key == place) for place in places], name
        medians = [
            np.median([one["delays_s"][1] for key, (_, one) in zip(keys, outcomes) if key == at]) for at in places
        ]
        drawn = shown.value("document.getElementById('delays').data.find(one => one.name === 'median').y")
        assert drawn[1::4] == pytest.approx(medians, rel=1e-6)
    for kind in ("log", "linear"):
        click(shown, "#delays-log")
        assert shown.value("document.getElementById('delays')._fullLayout.yaxis.type") == kind


def test_it_is_dark_where_the_reader_is_and_light_on_paper(shown):
    back = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#curves .xtitle')).fill"
    light = shown.value(back), shown.value(ink)
    try:
        shown.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        later = "new Promise(done => setTimeout(() => done([" + back + ", " + ink + "]), 100))"
        dark = tuple(shown.value(later))
        shown.value("dispatchEvent(new Event('beforeprint'))")
        printed = shown.value(back), shown.value(ink)
        shown.value("dispatchEvent(new Event('afterprint'))")
        assert tuple(shown.value(later)) == dark
    finally:
        shown.ask("Emulation.setEmulatedMedia", features=[])
    assert light == printed == ("rgb(255, 255, 255)", "rgb(34, 34, 34)")
    assert dark == ("rgb(22, 24, 28)", "rgb(232, 232, 232)")


def test_no_button_sends_a_chart_anywhere(shown):
    titles = shown.value("[...document.querySelectorAll('#curves .modebar-btn')].map(one => one.dataset.title)")
    assert len(titles) >= 4 and not [one for one in titles if re.search("cloud|share|edit", one, re.IGNORECASE)]


def test_damaged_data_are_told_on_the_page(page, chromium, tmp_path):
    file = tmp_path / "page.html"
    # The page reports the error before it uses Plotly, which is slow to load; so leave Plotly out.
    text, plotly = page.read_text("utf-8").replace('"every":1,', '"every":"1",', 1), "<script>/**"
    head, tail = text[: text.index(plotly)], text[text.index("</script>", text.index(plotly)) + len("</script>") :]
    file.write_text(head + tail, encoding="utf-8")
    chromium.open(file.as_uri())
    told = texts(chromium, "#chart-error:not([hidden])")
    assert told == [f"The curves cannot be drawn: the data of the page are damaged: {RUN}"]
