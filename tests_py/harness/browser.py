"""A real browser on the server's page: Chromium without a window, driven by selenium."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import Callable, Iterator

from harness.deadlines import Deadline, scaled
from harness.failures import CheckFailed, check
from harness.server import Server
from harness.tools import need

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--window-size=1000,700",
)


class Browser:
    def __init__(self, driver, error: type[Exception]) -> None:
        self.driver = driver
        self.error = error  # what the driver raises

    def open(self, url: str) -> None:
        try:
            self.driver.get(url)
        except self.error as error:
            raise CheckFailed(f"the browser to load {url}", str(error).partition("\n")[0])

    def text(self) -> str:
        """What the page shows."""
        return self.driver.execute_script("return document.body.innerText")

    def status(self) -> str:
        """The text of the element that tells the state of the connection (role=status)."""
        found = self.driver.find_elements("css selector", "[role=status]")
        return found[0].text if found else "(there is no element with role=status)"

    def expect(self, holds: Callable[[], bool], what: str, server: Server) -> None:
        deadline = Deadline()
        while not holds():
            if deadline.over() or server.fell():
                log = [entry["message"] for entry in self.driver.get_log("browser")]
                shown = [*self.text().splitlines(), *(f"console: {m}" for m in log)]
                raise CheckFailed(
                    f"the page to show {what}",
                    f"its status is “{self.status()}”",
                    drawn=shown[-20:],
                    server=server,
                )

    def say(self, text: str) -> None:
        """Type into the page's form, and press its button."""
        self._find("form input").send_keys(text)
        self._find("form button").click()

    def _find(self, selector: str):
        found = self.driver.find_elements("css selector", selector)
        check(found, f"an element `{selector}` in the page", "there is none")
        return found[0]


@contextmanager
def chromium() -> Iterator[Browser]:
    try:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        check(False, "the library selenium", "it is not installed: make setup brings it")
    profile = tempfile.mkdtemp(prefix="chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = need("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(need("chromedriver")), options=options)
    driver.set_page_load_timeout(scaled(15))
    try:
        yield Browser(driver, WebDriverException)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
