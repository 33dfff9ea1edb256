"""A real Chromium for tests: one browser for all, a fresh profile for each, and a record of all it complained about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

# Patience with a busy machine; what must be quick is measured where it is promised.
expect.set_options(timeout=60_000)

# Generous: a browser beside other work may starve for seconds. What must be quick is measured by its test.
TIMEOUT = 30_000
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass
class Visitor:
    """Somebody at a browser, and everything the browser complained about: errors, CSP violations, dialogs."""

    context: BrowserContext
    page: Page
    web: str
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collect complaints from now on; a dialog is dismissed, and is a complaint."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', event =>"
            " console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample))"
        )

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str = "/") -> None:
        # Without a script on the page its content may be there before its styles are.
        self.page.goto(self.web + path, wait_until="load")

    def log_in(self, name: str, password: str, path: str = "/") -> None:
        self.open(path)
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", password)
        self.page.click("main button[type=submit]")
        self.page.wait_for_url(lambda url: "/login" not in url)

    @property
    def messages(self) -> list[str]:
        """The messages in the table, newest first."""
        return self.page.locator("#rows .message").all_text_contents()

    def wait_for_live(self) -> None:
        self.page.wait_for_selector("#live[data-state=live]")


@contextmanager
def visitor(web: str, **options: Any) -> Iterator[Visitor]:
    """Open a browser of its own; `options` are Playwright's for a context."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        try:
            context = browser.new_context(**options)
            context.set_default_timeout(60_000)
            found = Visitor(context, context.new_page(), web)
            found.watch()
            yield found
        finally:
            browser.close()
