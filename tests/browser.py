"""A Chromium without a window, which keeps what it was asked for and what it said."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "no chromium and chromedriver on the path (Debian: apt-get install -y chromium chromium-driver)"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --disable-quic --no-first-run --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--window-size=900,700"
)


@contextmanager
def opened(page: Path, profile: Path) -> Iterator[Any]:
    """The browser at ``page``, with a fresh ``profile`` folder."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        found.get(page.as_uri())
        yield found
    finally:
        found.quit()
