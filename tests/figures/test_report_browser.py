"""The report in a real browser: at a desk, on a telephone, on paper, and when its surfaces are turned."""

import base64
import json
import re

import pytest

from figures import report
from figures.pictures import catalogue
from tests.browser import CHROMIUM, DRIVER, MISSING, opened
from tests.figure_tables import complete, write
from tests.figures.test_browser import wait

DRAWN = ("surfaces", "scalability", "steps")
DESK = {"width": 1100, "height": 800, "deviceScaleFactor": 1, "mobile": False}
TELEPHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
PLOTS = "return document.querySelector('iframe')?.contentDocument?.documentElement?.dataset.drawn"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """The page in a Chromium without a window."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(MISSING)
    frames = complete(seeds=2)
    names = ("surface", "timesteps", "steps", "history", "compare")
    folder = write(tmp_path_factory.mktemp("report"), {name: frames[name] for name in names})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name in DRAWN))
        assert report.main([str(folder)]) == 0
    with opened(folder / "report.html", tmp_path_factory.mktemp("chromium")) as found:
        yield found


def on(browser, screen, media=""):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})


def widths(browser, what):
    script = "return [...document.querySelectorAll(arguments[0])].map(one => [one.scrollWidth, one.clientWidth])"
    return browser.execute_script(script, what)


def shown(browser, what):
    return browser.execute_script("return document.querySelector(arguments[0]).checkVisibility()", what)


def test_pictures_are_shown_and_fit_the_desk(browser):
    on(browser, DESK)
    sizes = browser.execute_script("return [...document.images].map(one => [one.naturalWidth, one.width])")
    assert len(sizes) == len(DRAWN)
    assert all(natural > 200 and shown > 200 for natural, shown in sizes)
    assert widths(browser, "html")[0][0] <= 1100
    assert all(inner <= outer for inner, outer in widths(browser, "article .wide"))


def test_a_telephone_scrolls_tables_and_pictures_but_not_the_page(browser):
    on(browser, TELEPHONE)
    wait(lambda: widths(browser, "html")[0][0] == 390)
    boxes = widths(browser, ".wide")
    assert all(outer <= 390 for _, outer in boxes)
    assert any(inner > 600 for inner, _ in boxes)
    assert browser.execute_script("return document.querySelector('img.page').width") > 600
    ((inner, outer),) = widths(browser, ".wide:has(.cards)")
    assert inner <= outer  # a row below the other
    cue = browser.execute_script("return getComputedStyle(document.querySelector('.wide')).backgroundAttachment")
    assert {"local", "scroll"} <= set(cue.split(", "))  # shadows where more is to be seen
    blend = "return getComputedStyle(document.querySelector('.wide img.page')).mixBlendMode"
    assert browser.execute_script(blend) == "multiply"  # a picture's white ground doesn't hide them


def test_paper_shows_the_static_picture_and_nothing_folded(browser):
    on(browser, {**DESK, "width": 690}, "print")
    assert not shown(browser, "details.turn")
    assert not shown(browser, "nav")
    assert shown(browser, ".printed")
    assert not shown(browser, "details .comparison")
    assert shown(browser, ".cards")
    assert all(inner <= outer for inner, outer in widths(browser, ".wide"))
    assert shown(browser, "#figure-surfaces img")
    assert widths(browser, "html")[0][0] <= 690
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    pages = re.findall(rb"/Type ?/Page\b(?!s)", printed)
    assert 1 < len(pages) < 15


def test_surfaces_are_drawn_when_opened_and_not_before(browser):
    on(browser, DESK)
    assert not shown(browser, ".printed")
    assert browser.find_elements("tag name", "iframe") == []
    browser.find_element("css selector", "details.turn summary").click()
    wait(lambda: browser.execute_script(PLOTS))
    (frame,) = browser.find_elements("tag name", "iframe")
    assert frame.get_attribute("title") == "Surfaces to turn: Loss surfaces around the weights"
    height = "const f = document.querySelector('iframe'); return [f.clientHeight, f.contentDocument.body.scrollHeight]"
    wait(lambda: (lambda outer, inner: outer >= inner > 500)(*browser.execute_script(height)))
    summary = "return document.querySelector('iframe').contentDocument.getElementById('summary-1').textContent"
    assert "trained with TET, mean over seeds" in browser.execute_script(summary)
    assert widths(browser, "html")[0][0] <= 1100


def test_nothing_is_asked_of_the_network_and_nothing_fails(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("report.html") for url in asked)
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob", "about", "chrome", "chrome-untrusted"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
