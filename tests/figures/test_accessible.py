"""The report and the surfaces to turn before axe-core, at a desk and on a telephone, with all that is folded opened."""

from pathlib import Path

import pandas as pd
import pytest

from figures import interactive, report
from figures.pictures import catalogue
from tests.browser import CHROMIUM, DRIVER, MISSING, opened
from tests.figure_rows import coarse
from tests.figure_tables import made_up, write
from tests.figures.test_browser import wait
from tests.figures.test_report_browser import TELEPHONE, on

DRAWN = ("surfaces", "scalability", "controls", "generalization-loss")
DESK = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
TABLES = ("surface", "timesteps", "compare", "history", "rise_curves", "crossovers", "controls", "generalization")
SETTLED = "return document.documentElement.dataset.drawn"
PLAIN = """
for (const one of document.querySelectorAll("details")) one.open = true;
const plain = document.createElement("style");  // axe tells no contrast on shadows: as it is where there are none
plain.textContent = ".wide { background: #ffffff !important } img { mix-blend-mode: normal !important }";
document.head.append(plain);
"""
CONFIGURED = ';axe.configure({allowedOrigins: ["<unsafe_all_origins>"]});'  # a file's origin is none
RUN = """
const told = one => one.id + ": " + one.nodes.map(node => node.target.join(" > ")).join(", ");
delete window.found;
axe.run({resultTypes: ["violations", "incomplete"]}).then(
  all => { window.found = [all.passes, all.incomplete, all.violations].map(some => some.map(told)); },
  error => { window.found = [[], [], [String(error)]]; });
"""


def judged(browser):
    """What axe passes, isn't sure of, and finds wrong, by all rules that it has by default."""
    browser.execute_script(RUN)
    wait(lambda: browser.execute_script("return window.found"), 300)
    return browser.execute_script("return window.found")


@pytest.fixture(scope="module")
def axe():
    return Path(pytest.importorskip("axe_core_python").__file__).with_name("axe.min.js").read_text() + CONFIGURED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of two networks, and their surfaces to turn."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(MISSING)
    made = made_up(seeds=2)
    made["surface"] = coarse(made["surface"])
    frames = {name: made[name] for name in TABLES}
    other = frames["surface"].assign(network="digits-mlp")
    frames["surface"] = pd.concat([frames["surface"], other], ignore_index=True)
    directory = write(tmp_path_factory.mktemp("report"), frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "PICTURES", tuple(one for one in catalogue.PICTURES if one.name in DRAWN))
        assert report.main([str(directory)]) == 0
    assert interactive.main([str(directory)]) == 0
    return directory


@pytest.fixture(scope="module", params=["report.html", "figures/surfaces-digits-cnn-digits.html"])
def browser(request, axe, folder, tmp_path_factory):
    """A page with all that is folded opened, and axe in it and in its frames."""
    with opened(folder / request.param, tmp_path_factory.mktemp("chromium")) as found:
        found.execute_script(PLAIN)
        frames = found.find_elements("css selector", "details.turn")
        assert len(frames) == (2 if request.param == "report.html" else 0)
        wait(lambda: len(found.find_elements("tag name", "iframe")) == len(frames))
        for frame in found.find_elements("tag name", "iframe"):
            found.switch_to.frame(frame)
            wait(lambda: found.execute_script(SETTLED))
            found.execute_script(axe)
            found.switch_to.default_content()
        found.execute_script(axe)
        yield found


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("screen", [DESK, TELEPHONE], ids=["desk", "telephone"])
def test_axe_finds_no_violation(browser, screen):
    """In the frames of surfaces, too."""
    on(browser, screen)
    passed, unsure, violated = judged(browser)
    assert violated == []
    assert len(passed) > 15
    assert [one for one in unsure if one.startswith("color-contrast") and "caption" in one] == []  # of tables


def test_axe_finds_what_is_wrong(axe, folder, tmp_path):
    """A picture without words, and grey on white."""
    page = tmp_path / "wrong.html"
    wrong = '<img src="data:,"><p style="color: #aaaaaa">words</p>'
    page.write_text(
        f'<!DOCTYPE html><html lang="en"><title>a</title><body><main><h1>a</h1>{wrong}</main></body></html>'
    )
    with opened(page, tmp_path / "profile") as browser:
        browser.execute_script(axe)
        _, _, violated = judged(browser)
    assert {one.partition(":")[0] for one in violated} == {"image-alt", "color-contrast"}


def test_dark_surroundings_leave_the_page_light(folder, tmp_path):
    """There is one way of colours: who asks for a dark page gets this one whole, no dark text on a dark ground."""
    with opened(folder / "report.html", tmp_path) as browser:
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        assert browser.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
        style = "const one = getComputedStyle(document.documentElement); return [one.colorScheme, one.backgroundColor]"
        assert browser.execute_script(style) == ["light", "rgb(255, 255, 255)"]
