"""The page with surfaces to turn, in a real browser: that it draws, answers the mouse, and stays offline."""

import json
import re
import time

import pytest

from figures import interactive
from tests.browser import CHROMIUM, DRIVER, MISSING, opened
from tests.figure_rows import coarse
from tests.figure_tables import made_up, write


@pytest.fixture(scope="module")
def table():
    return coarse(made_up(seeds=2)["surface"])


@pytest.fixture(scope="module")
def browser(table, tmp_path_factory):
    """The page, drawn, in a Chromium without a window."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(MISSING)
    folder = write(tmp_path_factory.mktemp("page"), {"surface": table})
    assert interactive.main([str(folder)]) == 0
    page = folder / "figures" / "surfaces.html"
    with opened(page, tmp_path_factory.mktemp("chromium")) as found:
        wait(lambda: found.execute_script("return document.documentElement.dataset.drawn"))
        yield found


def wait(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "the page takes too long"
        time.sleep(0.05)
    return found


def choose(browser, name, value):
    script = "const s = document.querySelector(`select[name=${arguments[0]}]`); s.value = arguments[1];"
    browser.execute_script(script + "s.dispatchEvent(new Event('change'))", name, value)


@pytest.mark.slow
def test_both_panels_are_drawn(browser):
    script = """
      return [0, 1].map(name => {
        const scene = document.getElementById("plot-" + name)._fullLayout.scene._scene;
        scene.glplot.redraw();
        const gl = scene.glplot.gl, pixels = new Uint8Array(4 * gl.drawingBufferWidth * gl.drawingBufferHeight);
        gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        const colours = new Set();
        for (let i = 0; i < pixels.length; i += 4) colours.add(pixels.slice(i, i + 4).join());
        return colours.size;
      });"""
    assert all(colours > 100 for colours in browser.execute_script(script))


def test_nothing_is_asked_of_the_network_and_nothing_fails(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert any(url.endswith("surfaces.html") for url in asked)
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob", "chrome", "chrome-untrusted"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_pointing_at_a_surface_shows_the_tables_numbers_for_both(browser, table):
    from selenium.webdriver.common.action_chains import ActionChains

    choose(browser, "seed", "1")
    browser.execute_script("look(ABOVE)")
    script = "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
    x, y = browser.execute_script(script, browser.find_element("id", "plot-0"))
    places = iter(range(-3, 400))

    def pointed():
        mouse = ActionChains(browser)
        mouse.w3c_actions.pointer_action.move_to_location(int(x) - 40 + next(places), int(y) + 30)
        mouse.perform()
        time.sleep(0.2)
        return browser.execute_script("return document.querySelector('#plot-0 .hovertext')?.textContent")

    label, said = wait(pointed), browser.find_element("id", "reading").text
    (pair,) = re.findall(r"α = (\S+), β = (−?[\d.]+)", label)
    place = [float(one.replace("−", "-")) for one in pair]
    rows = table.query("loss == 'sdt' and seed == 1").set_index(["alpha", "beta"])
    rows = rows.sort_index().loc[tuple(place)].set_index("method")
    for method in ("sdt", "tet"):
        value, accuracy = rows.loc[method, ["value", "accuracy"]]
        expected = f"loss {value:.4g} ± 0.015"
        assert expected in said
        assert f"accuracy {100 * accuracy:.4g} %" in said
        assert method == "tet" or expected in label
    assert "standard error over examples" in label


@pytest.mark.slow
def test_a_camera_follows_the_other(browser):
    eyes = "return [0, 1].map(n => document.getElementById('plot-' + n)._fullLayout.scene.camera.eye)"
    browser.execute_script("look(START)")
    for name in (1, 0):
        place = {"x": 0.3, "y": -2.0 - (name == 1), "z": 0.5}
        script = "Plotly.relayout(document.getElementById('plot-' + arguments[0]), {'scene.camera.eye': arguments[1]})"
        script = script.replace("{'scene.camera.eye': arguments[1]}", "{'scene.camera': {...START, eye: arguments[1]}}")
        browser.execute_script(script, name, place)
        wait(lambda place=place: browser.execute_script(eyes) == [place, place])


def alike(one, other):
    return one == pytest.approx(other, abs=1e-6)


@pytest.mark.slow
def test_a_drag_turns_both_and_leaves_them_alike(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    eyes = "return [0, 1].map(n => document.getElementById('plot-' + n)._fullLayout.scene._scene.getCamera().eye)"
    for name, (right, down) in ((0, (70, 25)), (1, (-45, 60))):
        browser.execute_script("look(START)")
        wait(lambda: alike(*browser.execute_script(eyes)))
        before = browser.execute_script(eyes)[0]
        plot = browser.find_element("id", f"plot-{name}")
        drag = ActionChains(browser, duration=20).move_to_element(plot).click_and_hold()
        for _ in range(6):
            drag = drag.move_by_offset(right // 6, down // 6)
        drag.release().perform()
        wait(lambda before=before, name=name: browser.execute_script(eyes)[name] != pytest.approx(before, abs=0.05))
        time.sleep(0.5)  # nothing more moves
        assert alike(*browser.execute_script(eyes))


def test_an_infinite_point_is_marked_at_the_top_and_a_missing_one_at_the_bottom(browser):
    choose(browser, "seed", "0")
    script = "return document.getElementById('plot-1').data.slice(1, 3).map(t => [t.name, t.x, t.y, t.text, t.z])"
    wait(lambda: browser.execute_script(script)[0][1])
    infinite, missing = browser.execute_script(script)
    assert infinite[:3] == ["infinite", [1], [1]]
    assert "loss infinite" in infinite[3][0]
    assert missing[:3] == ["unmeasured", [1], [-1]]
    assert "loss not measured" in missing[3][0]
    assert infinite[4][0] > missing[4][0]
    words = browser.find_element("id", "summary-1").text
    assert "Infinite: 1 of 25 points; not measured: 1." in words
    assert browser.find_element("id", "plot-1").get_attribute("aria-label") == words


@pytest.mark.slow
def test_the_scale_is_one_for_both_panels_and_stays_when_the_loss_changes(browser):
    script = """return [0, 1].map(name => { const plot = document.getElementById("plot-" + name);
      return [plot.data[0].cmin, plot.data[0].cmax, ...plot._fullLayout.scene.zaxis.range]; })"""
    one, other = browser.execute_script(script)
    assert one == pytest.approx(other)
    choose(browser, "loss", "tet")
    wait(lambda: "TET loss" in browser.find_element("id", "summary-0").text)
    for now in browser.execute_script(script):
        assert now == pytest.approx(one)


@pytest.mark.slow
def test_the_page_fits_a_telephone(browser):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wait(lambda: browser.execute_script("return document.documentElement.scrollWidth") <= 390)
    boxes = "return [...document.querySelectorAll('.plot')].map(p => p.getBoundingClientRect()).map(r => [r.x, r.y])"
    (left, top), (other_left, below) = browser.execute_script(boxes)
    assert left == other_left
    assert below > top + 200
