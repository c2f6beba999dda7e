"""The page in a real browser: what a reader does with it, by mouse and by keyboard, and what it must never do."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browser import Shown
from pages import make_payload

Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def payload() -> dict[str, Any]:
    return make_payload(26, 9, 3, own=3, seed=4)


def test_the_verdict_the_table_and_the_own_models(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    best = shown.names()[shown.column("place").index("1")]
    verdict = shown.text("#verdict")
    assert verdict.startswith(f"{best} has the lowest nMASE: {shown.column('main')[shown.names().index(best)]} (95 % interval")
    assert re.search(r"over 9 dataset families\)\. (\d+ models? cannot|Every other model)", verdict), verdict
    assert re.fullmatch(r"Your best: own-\d+, 1\.\d\d, place \d+ of 24\.", shown.text("#own")), shown.text("#own")
    assert shown.names()[-3:] == [name for name in shown.names() if name.startswith("own-")]  # ten rows, and the own ones
    assert len(shown.names()) == 13
    shown.page.click("#show-all")
    assert len(shown.names()) == 26
    assert shown.page.title() == "demo · leaderboard"
    assert "27 tasks" in shown.text("#facts") and "26 models (3 own, 23 published)" in shown.text("#facts")


def test_marks_of_gaps_stale_results_and_undefined_ratios(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload, "#all=1")
    rows = dict(zip(shown.names(), shown.column("model"), strict=True))
    assert "†" in rows["model-002"] and "⚠ stale" in rows["own-24"] and "‡" in rows["model-005"]
    assert shown.column("place")[shown.names().index("model-002")].startswith("(")
    assert re.search(r"failed, \d+ skipped", shown.column("tasks")[shown.names().index("own-25")])
    legend = shown.text("#legend")
    assert all(word in legend for word in ("†", "‡", "stale"))


def test_every_column_sorts_both_ways(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload, "#all=1&wide=1")
    keys = shown.run("[...document.querySelectorAll('#board th[data-key]')].map(e => e.dataset.key)")
    assert len(keys) >= 18
    script = "(key) => [...document.querySelectorAll(`#board tbody .c-${key}`)].map(e => e.dataset.value)"
    seen = set()
    for key in keys:
        for _ in range(2):
            shown.page.click(f"#board th[data-key='{key}'] button")
            direction = shown.page.get_attribute(f"#board th[data-key='{key}']", "aria-sort")
            seen.add((key, direction))
            values = shown.run(script, key)
            there = [value for value in values if value not in ("", "–")]
            assert values[: len(there)] == there, f"{key}: none comes last"
            if key in ("low", "places", "tasks", "letters"):  # shown as text, sorted by what is behind
                continue
            numbers = [float(value) for value in there] if re.fullmatch(r"[\d.]+(e-\d+)?", there[0]) else [value.lower() for value in there]
            assert numbers == sorted(numbers, reverse=direction == "descending"), (key, direction)
        assert shown.run("document.querySelectorAll('#board th[aria-sort]:not([aria-sort=none])').length") == 1
    assert {direction for _, direction in seen} == {"ascending", "descending"}


def test_a_slice_recomputes_and_is_kept_in_the_address(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    page = shown.page
    before = (shown.text("#verdict"), shown.column("rank0"))
    page.click("details.menu[data-dimension=domain] summary")
    page.check("details.menu[data-dimension=domain] input[data-value=Energy]")
    page.check("details.menu[data-dimension=domain] input[data-value=Sales]")
    page.keyboard.press("Escape")
    page.click("details.menu[data-dimension=term] summary")
    page.check("details.menu[data-dimension=term] input[data-value=short]")
    page.keyboard.press("Escape")
    after = (shown.text("#verdict"), shown.column("rank0"))
    assert after != before and "Energy and Sales, short term" in after[0]
    assert "over 3 dataset families" in after[0]
    assert "domain=Energy&domain=Sales&term=short" in page.url
    assert [shown.text(f"#chips button >> nth={k}") for k in range(3)] == ["Domain Energy ×", "Domain Sales ×", "Term short ×"]
    page.reload()
    shown.ready()
    assert (shown.text("#verdict"), shown.column("rank0")) == after
    page.go_back()
    assert "Energy and Sales:" in shown.text("#verdict").replace(" has the lowest nMASE on", "")
    page.click("#chips button >> nth=0")
    assert "on Sales:" in shown.text("#verdict")
    page.click("#chips button:has-text('The whole suite')")
    assert (shown.text("#verdict"), shown.column("rank0")) == before
    assert "domain" not in page.url


def test_best_by_domain_leads_to_the_slice(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    shown.page.wait_for_selector("#bests tbody tr")
    rows = shown.page.locator("#bests tbody tr").all_inner_texts()
    assert len(rows) == 7 and rows[0].startswith("Energy")
    best = rows[3].split("\t")[1].strip()
    shown.page.click("#bests tbody tr >> nth=3 >> th button")
    assert shown.text("#verdict").startswith(best)
    assert "domain=Nature" in shown.page.url


def test_filters_hide_rows_and_change_no_number(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload, "#all=1")
    page = shown.page
    full = dict(zip(shown.names(), zip(shown.column("place"), shown.column("rank0"), shown.column("main"), strict=True), strict=True))
    page.fill("#search", "model-00")
    part = dict(zip(shown.names(), zip(shown.column("place"), shown.column("rank0"), shown.column("main"), strict=True), strict=True))
    assert sorted(part) == [f"model-00{k}" for k in range(10)] and all(full[name] == row for name, row in part.items())
    assert shown.text("#count").startswith("10 of 26 models are shown")
    page.select_option("select[data-filter=contamination]", "undeclared")
    assert "model-003" not in shown.names() and "model-004" in shown.names()
    page.select_option("select[data-filter=contamination]", "clean")
    assert shown.names() and set(shown.names()) <= {"model-000", "model-005"}, "nothing is known of model-004"
    page.fill("#search", "")
    page.select_option("select[data-filter=source]", "own")
    page.select_option("select[data-filter=contamination]", "")
    assert {name[:4] for name in shown.names()} == {"own-"}
    page.reload()
    shown.ready()
    assert {name[:4] for name in shown.names()} == {"own-"}


def test_the_other_score(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    other = shown.column("other")
    names = shown.names()
    shown.page.locator("#menus input[value=CRPS]").check()
    assert "nCRPS" in shown.text("#verdict") and "score=CRPS" in shown.page.url
    again = dict(zip(shown.names(), shown.column("main"), strict=True))
    assert all(again.get(name, value) == value for name, value in zip(names, other, strict=True))


def test_a_suite_with_other_scores(show: Show) -> None:
    """Headings, verdict, pictures and the address take the names of the suite's main scores."""
    payload = make_payload(26, 9, 3, own=3, seed=4, labels=("fev:MASE", "fev:SQL"))
    shown = show(payload)
    heads = [text.strip(" ▲▼") for text in shown.page.locator("#board thead th").all_inner_texts()]
    assert [head for head in heads if "fev" in head] == ["nfev:MASE", "nfev:SQL", "Rank fev:MASE", "Rank fev:SQL"]
    assert "has the lowest nfev:MASE" in shown.text("#verdict")
    shown.draw_all()
    assert "nfev:MASE (1 = baseline" in shown.run("document.querySelector('#s-intervals svg').textContent")
    other = dict(zip(shown.names(), shown.column("other"), strict=True))
    shown.page.locator("#menus input[value='fev:SQL']").check()
    assert "has the lowest nfev:SQL" in shown.text("#verdict") and shown.page.url.endswith("#score=fev%3ASQL")
    assert all(other.get(name, value) == value for name, value in zip(shown.names(), shown.column("main"), strict=True))
    shown.page.reload()
    shown.ready()
    shown.draw_all()
    assert "has the lowest nfev:SQL" in shown.text("#verdict")
    assert shown.page.locator("#menus input[value='fev:SQL']").is_checked()
    text = shown.run("document.body.innerText")
    assert [word for word in ("CRPS", "nMASE", "Rank MASE", "lower MASE") if word in text] == []
    shown.page.goto(shown.page.url.partition("#")[0] + "#score=CRPS")  # a link of another suite: the first score
    shown.page.reload()
    shown.ready()
    assert "has the lowest nfev:MASE" in shown.text("#verdict")


def test_a_suite_with_one_score(show: Show) -> None:
    payload = make_payload(8, 7, 1, own=1)
    payload["scores"][1] = payload["scores"][0]
    shown = show(payload)
    assert shown.page.locator("#menus input[type=radio]").count() == 0
    assert shown.run("[...document.querySelectorAll('#board th')].map(e => e.dataset.key)").count("other") == 0


def test_where_nothing_can_be_told_it_says_so(show: Show) -> None:
    """Two families, of which one has nearly all tasks, are one: no interval, no place that the comparisons allow, and the reason."""
    payload = make_payload(8, 2, 5, own=2, gaps=False)
    for task in payload["tasks"][5:9]:
        task["family"] = "family0"
    shown = show(payload, "#wide=1")
    assert shown.run("board.view.units.kind") == "family"
    assert "how sure that is cannot be told" in shown.text("#verdict")
    assert shown.column("low") == [] and shown.column("places") == []
    assert "Intervals and places" not in shown.text("#legend")
    shown.draw_all()
    assert "No intervals: one or two dataset families, or nearly" in shown.text("#s-intervals .body")
    titles = shown.run("[...document.querySelectorAll('#s-wins .shade[title]')].map(e => e.title)")
    assert titles and all(title.endswith("tasks; one or two dataset families, or nearly: cannot be told") for title in titles)
    shown.page.locator("#board tbody tr >> nth=2 >> button.link").click()
    text = shown.text("#panel-body .finding")
    assert "How sure that is cannot be told: its tasks are of one or two dataset families, or nearly." in text
    assert "told apart" not in text and "allow places" not in text
    assert "whichever family is left out" in shown.text("#panel-body") or "would be" in shown.text("#panel-body")
    for task in payload["tasks"]:
        task["family"] = "family0"
    shown = show(payload)
    shown.page.locator("#board tbody tr >> nth=2 >> button.link").click()
    assert "This slice has one dataset family, so none can be left out." in shown.text("#panel-body")


def test_bars_have_no_ticks_outside(show: Show) -> None:
    payload = make_payload(6, 7, 1, own=1, gaps=False)
    shown = show(payload)
    shown.draw_all()
    axes = shown.run("""() => [...document.querySelectorAll("#s-domains svg .mark-text.role-axis-label")]
        .map((axis) => [...axis.querySelectorAll("text")]
            .filter((e) => Number(e.textContent) && getComputedStyle(e).opacity !== "0")
            .map((e) => [Number(e.textContent), e.getBoundingClientRect().x + e.getBoundingClientRect().width / 2]))
        .filter((ticks) => ticks.length)""")
    assert len(axes) == 7
    for ticks in axes:
        values, places = np.log([tick for tick, _ in ticks]), [place for _, place in ticks]
        assert len(ticks) > 2 and 1 in [tick for tick, _ in ticks]
        np.testing.assert_allclose(np.polyval(np.polyfit(values, places, 1), values), places, atol=1.5)  # a logarithmic scale


def test_the_places_say_that_they_are_not_corrected(show: Show, payload: dict[str, Any]) -> None:
    title = show(payload).page.get_attribute("#board th[data-key=places] button", "title")
    assert title and "not corrected for the number of pairs" in title and "95" not in title


def test_a_models_panel(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    shown.page.click("#board tbody tr[data-model='25'] td.c-win")
    panel = "#panel[open]"
    assert shown.text(f"{panel} h2") == "own-25 own"
    text = shown.text("#panel-body")
    for words in (
        "It lacks tasks",
        "Tasks that make its score",
        "counted as the worst model",
        "timeout: took longer than 60 s",
        "By domain",
    ):
        assert words in text
    assert "harness run -m own-25 -s demo -t family0/H/short/0" in text
    assert shown.run("document.activeElement.id") == "panel-title"
    assert "model=own" in shown.page.url
    shown.page.reload()
    shown.ready()
    assert shown.text(f"{panel} h2") == "own-25 own"
    shown.page.keyboard.press("Escape")
    assert shown.page.locator(panel).count() == 0 and "model=" not in shown.page.url
    shown.page.go_back()
    assert shown.text(f"{panel} h2") == "own-25 own"


def test_a_tasks_panel(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    shown.draw_all()
    shown.page.click(".heat tbody tr >> nth=1 >> td >> nth=1")
    text = shown.text("#panel-body")
    for words in ("All models on this task", "MSIS", "/ baseline", "Error along the horizon", "Forecasts", "own-25"):
        assert words in text, words
    shown.page.click("#panel summary:has-text('own-24')")
    assert re.search(r"harness run -m own-24 .*harness replay 0018\d+", shown.text("#panel-body"))
    shown.page.click("#panel button:has-text('Show all')")
    assert shown.page.locator("#panel tbody tr").count() >= 20
    assert shown.page.locator("#panel svg").count() >= 1


def test_the_list_of_tasks(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    shown.draw_all()
    shown.page.click("#task-list summary")
    shown.page.fill("#task-list input", "family3/H")
    rows = shown.page.locator("#task-list tbody tr:visible")
    assert rows.count() == 1
    rows.first.locator("th button").click()
    assert shown.text("#panel-title") == "family3/H/short/0"


def test_by_keyboard_alone(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    keys = shown.page.keyboard
    focus = "(() => { const e = document.activeElement; return e.innerText || e.id || e.tagName; })()"
    ring = "getComputedStyle(document.activeElement).outlineStyle + parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
    keys.press("Tab")
    assert shown.run(focus) == "Skip to the ranking"
    assert shown.run("document.activeElement.getBoundingClientRect().left") >= 0  # it can be seen
    keys.press("Enter")
    assert shown.run(focus) == "Ranking"
    reached = []
    for _ in range(60):
        keys.press("Tab")
        reached.append(shown.run(focus))
        assert shown.run(ring) in ("solid2", "auto1"), reached[-1]
        if shown.run("document.activeElement.closest('#board tbody') !== null"):
            break
    assert any(name.startswith("nMASE") for name in reached), reached
    name = shown.run(focus)
    keys.press("Enter")
    assert shown.text("#panel-title").startswith(name)
    keys.press("Tab")
    assert shown.run("document.activeElement.id") == "panel-close"
    for _ in range(200):  # the dialog keeps the focus, or lets it go to the browser's own controls
        keys.press("Tab")
        assert shown.run("document.activeElement === document.body || document.activeElement.closest('#panel') !== null")
    keys.press("Escape")
    assert shown.run(focus) == name
    keys.press("Shift+Tab")
    keys.press("Shift+Tab")
    head = shown.run("document.activeElement.closest('th')?.dataset.key ?? null")
    if head:
        keys.press("Enter")
        assert shown.run("document.activeElement.closest('th').dataset.key") == head  # still there after the table was drawn anew


def test_themes(show: Show, payload: dict[str, Any]) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(13, 17, 23)"
    assert show(payload, color_scheme="light").run(back) == light
    shown = show(payload, color_scheme="dark")
    assert shown.run(back) == dark
    shown.page.click("#theme")
    assert (shown.text("#theme"), shown.run(back)) == ("Theme: light", light)
    shown.page.reload()
    shown.ready()
    assert shown.run(back) == light
    shown.page.click("#theme")
    assert (shown.text("#theme"), shown.run(back)) == ("Theme: dark", dark)
    shown.draw_all()
    fills = shown.run("[...document.querySelectorAll('#s-intervals svg text')].map(e => e.getAttribute('fill'))")
    assert fills and set(fills) == {"#e6edf3"}


def test_a_phone(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload, width=380, height=800)
    shown.draw_all()
    assert shown.wide_elements() == []
    sticky = "(() => { const b = document.querySelector('#ranking .box'); b.scrollLeft = 300; const c = document.querySelector('#board tbody .c-model').getBoundingClientRect(); return [b.scrollLeft > 0, c.left]; })()"  # noqa: E501
    moved, left = shown.run(sticky)
    assert moved and 0 <= left < 80
    for hash in ("#model=own|zero-shot|||own-25", "#task=family3%2FH%2Fshort%2F0"):
        shown.run("(hash) => { location.hash = hash; }", hash)
        shown.page.wait_for_selector("#panel[open]")
        assert shown.run("(() => { const b = document.getElementById('panel-body'); return b.scrollWidth <= b.clientWidth; })()")
        assert shown.wide_elements() == []


def test_paper(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload, "#domain=Energy", color_scheme="dark")
    pdf = shown.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4
    shown.page.emulate_media(media="print")
    shown.page.wait_for_timeout(600)
    assert shown.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    for gone in ("#menus", "#filters", "#theme", "#print", ".tools", ".contents"):
        assert not shown.page.locator(gone).first.is_visible(), gone
    bodies = shown.run("[...document.querySelectorAll('[data-section] .body')].map(e => e.childNodes.length)")
    assert len(bodies) == 14 and all(bodies)
    fills = shown.run("[...document.querySelectorAll('#s-intervals svg text')].map(e => e.getAttribute('fill'))")
    assert fills and set(fills) == {"#1f2328"}


def test_copies_are_safe_for_spreadsheets(show: Show, payload: dict[str, Any]) -> None:
    models = [
        {**model, "label": {0: "=HYPERLINK(1)", 1: 'a "b", c', 3: "|x|"}.get(i, model["label"])}
        for i, model in enumerate(payload["models"])
    ]
    shown = show({**payload, "models": models}, permissions=["clipboard-read", "clipboard-write"])
    shown.page.click("#ranking-tools button:has-text('Copy as CSV')")
    shown.until("document.getElementById('spoken').textContent === 'Copied.'")
    rows = list(csv.reader(io.StringIO(shown.run("navigator.clipboard.readText()"))))
    assert len(rows) == 27 and len({len(row) for row in rows}) == 1
    named = {row[1]: row for row in rows}
    assert "'=HYPERLINK(1)" in named and 'a "b", c' in named
    value = float(named["|x|"][rows[0].index("nMASE")])
    assert value == shown.run("board.view.values[3]")  # all digits
    shown.page.click("#ranking-tools button:has-text('Copy as Markdown')")
    shown.page.wait_for_timeout(100)
    lines = shown.run("navigator.clipboard.readText()").strip().split("\n")
    assert len(lines) == 28 and len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    escaped = "board.format.csvField"
    assert shown.run(f"['=1', '+1+1', '-a', '@x', '\\t=1', '\\r=1', '-0.5', 'a'].map({escaped})") == [
        "'=1", "'+1+1", "'-a", "'@x", "'\t=1", '"\'\r=1"', "-0.5", "a",
    ]  # fmt: skip


def test_numbers_as_people_read_them(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    cases = [0.61, 0.6104, 12.84, 1240, 1234567, 0, 0.00123, 1e9, 1e-7, -0.5, 99.96]
    expected = ["0.610", "0.610", "12.8", "1,240", "1,234,567", "0", "0.00123", "1.00e9", "1.00e−7", "−0.500", "100.0"]
    assert shown.run("(cases) => cases.map(x => board.format.digits(x))", cases) == expected
    assert shown.run("[NaN, null, undefined, Infinity, -Infinity].map(x => board.format.digits(x))") == ["–", "–", "–", "∞", "−∞"]


def test_sections_say_what_they_lack(show: Show) -> None:
    shown = show(make_payload(12, 8, 1, own=0, details=False, gaps=False))
    shown.draw_all()
    for section, words in {
        "steps": "Only models that were run with this harness",
        "calibration": "Only models that were run with this harness",
        "explorer": "Run with --save-forecasts",
        "cost": "No model of this slice was timed",
        "policies": "no policy changes anything",
        "receipts": "published ones",
    }.items():
        assert words in shown.text(f"#s-{section} .body"), section
    assert not shown.page.locator("#own").is_visible()


def test_the_forecast_explorer(show: Show, payload: dict[str, Any]) -> None:
    shown = show(payload)
    shown.draw_all()
    explorer = "#s-explorer"
    assert "Series item best" in shown.text(f"{explorer} .finding")
    shown.page.select_option(f"{explorer} select[data-choice=window]", "2")
    shown.page.select_option(f"{explorer} select[data-choice=second]", index=1)
    assert "Series item worst" in shown.text(f"{explorer} .finding") and shown.text(f"{explorer} .finding").count("MASE") == 2
    shown.page.wait_for_selector(f"{explorer} svg")
    shown.page.click(f"{explorer} summary:has-text('The numbers')")
    rows = 96 + 24 + 2 * (24 + 2 * 24)
    shown.until(f"document.querySelectorAll('{explorer} tbody tr').length === {rows}")
