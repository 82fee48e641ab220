"""The pages in headless Chromium, against an embedded server: the short form of `python -m tests.console.browser`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.console.browser import embedded, visit
from tests.console.chromium import browser, program
from tests.console.support import console

pytestmark = pytest.mark.skipif(
    program() is None, reason="there is no Chromium on this machine (Debian: apt-get install chromium)"
)


def test_all_pages(tmp_path: Path) -> None:
    with embedded(tmp_path) as (port, visitor):
        assert asyncio.run(visit(port, visitor, None, ["server"], 0.0)) == []


def test_signing_in(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIDCONSOLE\naws_secret_access_key = a-secret\n")

    async def sign_in(url: str) -> None:
        async with browser() as page:
            await page.open(url)
            await page.fill("Access key", "AKIDCONSOLE")
            await page.fill("Secret", "wrong")
            await page.click("Sign in")
            await page.wait_text("the access key or the secret is wrong")
            await page.fill("Secret", "a-secret")
            await page.click("Sign in")
            await page.wait_text("read-only")
            await page.wait_text("AKIDCONSOLE")
            assert await page.run("document.cookie") == ""
            await page.click("Sign out")
            await page.wait("Boolean(document.querySelector('.sign-in form'))")
            assert all("403" in each for each in page.complaints), page.complaints

    with console(tmp_path / "log", "--credentials-file", str(credentials)) as (_, visitor):
        asyncio.run(sign_in(f"http://{visitor.host}/"))
