"""Headless Chromium, driven over its DevTools protocol: opens pages, clicks, reads what is there, takes pictures.

    async with browser() as page:
        await page.open("http://127.0.0.1:8088/")
        await page.wait("document.querySelector('h1')")
        assert page.complaints == []

`complaints` are what a person would find in the browser's console: errors, exceptions, violations of the policy.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)
START_S = 60.0
ANSWER_S = 60.0
WAIT_S = 30.0
POLL_S = 0.05
TRIES = 10
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""What Chromium aborts loads with when an interface comes or goes."""

SEVERE = frozenset(("error", "warning"))


def program() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name)) is not None), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            document = json.loads(message.data)
            if "id" in document:
                self._answers.pop(document["id"]).set_result(document)
            else:
                self._heard(document["method"], document["params"])

    def _heard(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in SEVERE:
            self.complaints.append(f"console: {told['args']}")
        elif method == "Log.entryAdded" and told["entry"]["level"] in SEVERE:
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol and its result."""
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(future, ANSWER_S)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def begin(self, width: int, height: int) -> None:
        """Listen to complaints, and have a window of this size."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.resize(width, height)

    async def resize(self, width: int, height: int) -> None:
        """Have a window of this size, in CSS pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def prefer(self, theme: str) -> None:
        """Let the system's colours be `light` or `dark`."""
        await self.send(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}]
        )

    async def open(self, url: str) -> None:
        """Go to an address; again when the machine's network has changed meanwhile, which aborts what is loaded."""
        for _ in range(TRIES):
            await self.send("Page.navigate", url="about:blank")
            await self.send("Page.navigate", url=url)
            await self.wait("document.readyState === 'complete'")
            if not any(NETWORK_CHANGED in each for each in self.complaints):
                return
            self.complaints = [each for each in self.complaints if NETWORK_CHANGED not in each]

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            if await self.run(f"Boolean({condition})"):
                return
            if asyncio.get_running_loop().time() > deadline:
                text = await self.run("document.body?.innerText")
                raise AssertionError(
                    f"{condition} did not come true; complaints {self.complaints}; page:\n{text}"
                )
            await asyncio.sleep(POLL_S)

    async def text(self) -> str:
        """What can be read on the page."""
        text: str = await self.run("document.body?.innerText")
        return text

    async def wait_text(self, text: str) -> None:
        """Wait until a text can be read on the page."""
        await self.wait(f"document.body?.innerText.includes({json.dumps(text)})")

    async def click(self, text: str, kind: str = "button, a") -> None:
        """Click what has this text, once it is there and may be clicked."""
        found = (
            f"[...document.querySelectorAll({json.dumps(kind)})]"
            f".find((each) => each.textContent.trim() === {json.dumps(text)} && !each.disabled)"
        )
        await self.wait(found)
        await self.run(f"{found}.click()")

    async def fill(self, label: str, value: str) -> None:
        """Give a field a value, by its label (or its aria-label), as typing would."""
        found = (
            f"([...document.querySelectorAll('label')].filter((each) => each.textContent.trim().startsWith("
            f"{json.dumps(label)})).pop()?.querySelector('input, select, textarea')"
            " || [...document.querySelectorAll('[aria-label]')]"
            f".find((each) => each.ariaLabel === {json.dumps(label)}))"
        )
        await self.wait(found)
        await self.run(
            f"(() => {{ const field = {found}; field.value = {json.dumps(value)};"
            "field.dispatchEvent(new Event('input', { bubbles: true }));"
            "field.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    async def key(self, name: str, code: int) -> None:
        """Press a key."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code
            )

    async def picture(self, path: Path) -> int:
        """Take a picture of the window as PNG; returns its bytes."""
        result = await self.send("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        content = base64.b64decode(result["data"])
        await asyncio.to_thread(path.write_bytes, content)
        return len(content)

    async def close(self) -> None:
        """Stop reading."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@contextlib.asynccontextmanager
async def browser(width: int = 1280, height: int = 800) -> AsyncIterator[Page]:
    """A tab of a browser of its own, with an empty profile; it ends with the block."""
    path = program()
    if path is None:
        raise RuntimeError("there is no Chromium on this machine; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    tabs = await answer.json(content_type=None)
                tab = next(each for each in tabs if each["type"] == "page")
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.begin(width, height)
                    try:
                        yield page
                    finally:
                        await page.close()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _port(path: Path, process: asyncio.subprocess.Process) -> int:
    """The port that the browser chose."""
    deadline = asyncio.get_running_loop().time() + START_S
    while True:
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            return int((await asyncio.to_thread(path.read_text)).splitlines()[0])
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise RuntimeError(f"Chromium did not start (exit code {process.returncode})")
        await asyncio.sleep(POLL_S)
