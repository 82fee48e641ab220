"""The pages in a real browser: `python -m tests.console.browser [--pictures DIR] [--short]`.

Starts a cluster of three zones (or with `--short` an embedded server) with load, of which most is for one key; goes
through all pages as a person would, also with edits; checks what can be read there, and that the browser has nothing
to complain about: no errors, no violation of the policy. With `--pictures` it takes the pictures of the README.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.console.chromium import NETWORK_CHANGED, Page, browser, program
from tests.console.load import HOT, Client, Load, fill
from tests.console.support import Visitor, console

BASE_PORT = 26_000
"""Below the ports that the kernel gives to outgoing connections."""

START_S = 90.0
PICTURE_BYTES_MAX = 200_000
CONFLICT = "Somebody has changed this item since it was read"
COMPLAINTS_EXPECTED = ("status of 400", "willReadFrequently", NETWORK_CHANGED)
"""A refused condition is an answer of status 400, which browsers note. Only this program reads pixels."""


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[int, Visitor]]:
    """A cluster of three zones with a console in edit mode: its port, and a visitor."""
    command = [sys.executable, "-m", "hashrange.cli.main", "cluster", "up", "--console", "--console-edit"]
    command += ["--nodes", "6", "--routers", "2", "--port", str(BASE_PORT)]
    command += ["--data-dir", str(folder / "cluster"), "--throttling", "provisioned-only", "--dax", "1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HASHRANGE_")}
    log = folder / "cluster.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
    try:
        deadline = time.monotonic() + START_S
        while "The console is at" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the cluster did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield BASE_PORT, Visitor(BASE_PORT + 90)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def split(folder: Path, name: str) -> None:
    """Let a table of the cluster have one partition more."""
    command = [sys.executable, "-m", "hashrange.cli.main", "cluster", "split", name]
    subprocess.run(
        [*command, "--data-dir", str(folder / "cluster")], check=True, capture_output=True, timeout=60
    )


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[tuple[int, Visitor]]:
    """An embedded server with a console in edit mode."""
    with console(folder / "log", "--console-edit") as (server, visitor):
        yield server.port, visitor


class Tour:
    """One visit of all pages."""

    def __init__(self, page: Page, url: str, client: Client, pictures: Path | None) -> None:
        self.page = page
        self.url = url
        self.client = client
        self.pictures = pictures

    async def go(self, place: str) -> None:
        """Open one of the pages."""
        await self.page.open(f"{self.url}/#/{place}")

    async def picture(self, name: str) -> None:
        """Take a picture, if pictures are wanted."""
        if self.pictures is not None:
            size = await self.page.picture(self.pictures / f"console-{name}.png")
            assert size <= PICTURE_BYTES_MAX, f"{name}: {size} bytes"

    async def fits(self) -> None:
        """Nothing hangs over the edge of the window."""
        over = await self.page.run(
            "[...document.querySelectorAll('main *')].filter((each) => !each.closest('.scroll, .bar, .code')"
            " && each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 200))"
        )
        assert over == [], over

    async def cluster_map(self, processes: list[str]) -> None:
        """All processes are there and ready, all tables with their partitions."""
        await self.go("cluster")
        for name in [*processes, "orders", "orders / by-town", "sessions"]:
            await self.page.wait_text(name)
        await self.page.wait("document.querySelectorAll('.process .state').length >= " + str(len(processes)))
        await self.page.wait(
            "[...document.querySelectorAll('.process .state')].every((each) => each.classList.contains('good'))"
        )
        await self.page.wait("document.querySelectorAll('.part.leads').length >= 4")
        await self.fits()

    async def tables(self) -> None:
        """The list, one table in detail, one made and deleted again."""
        page = self.page
        await self.go("tables/orders")
        for text in ("new and old images", "by-town", "Deletion protection", "provisioned"):
            await page.wait_text(text)
        await self.fits()
        await page.click("Create table")
        await page.fill("Name", "made-here")
        await page.fill("Sort key, if any", "at")
        await page.click("Create table", "dialog footer button")
        await page.wait("location.hash === '#/tables/made-here'")
        await page.wait_text("Explore items")
        await page.wait("!document.querySelector('main .state:not(.good)')")
        await page.click("Delete table")
        assert await page.run("document.querySelector('dialog footer button').disabled")
        await page.fill("Type the table's name", "made-here")
        await page.click("Delete table", "dialog footer button")
        await page.wait("!document.querySelector('main').innerText.includes('made-here')")

    async def items(self) -> None:
        """A query by index and filter, pages of a scan, an item edited, a lost update refused."""
        page = self.page
        await self.go("items/orders?index=by-town")
        await page.fill("Operation", "query")
        await page.fill("town", "Graz")
        await page.click("+ Add a filter")
        await page.fill("Filter by", "paid")
        await page.fill("type", "BOOL")
        await page.fill("value", "true")
        await page.click("Run")
        await page.wait_text("consumed")
        await page.wait("[...document.querySelectorAll('table.items tbody tr')].length > 3")
        shown = "document.querySelector('table.items tbody').innerText"
        await page.wait(
            f"!{shown}.includes('Lyon') && !{shown}.includes('false') && {shown}.includes('Graz')"
        )
        await self.fits()
        await self.picture("items")
        await self.go("items/orders")
        await page.fill("Page of", "25")
        await page.click("Run")
        await page.wait_text("25 items")
        first = await page.run("document.querySelector('table.items tbody').innerText")
        await page.click("Next")
        await page.wait_text("page 2")
        assert await page.run("document.querySelector('table.items tbody').innerText") != first
        await self.edit()

    async def edit(self) -> None:
        """An item of `sessions`: changed, changed by somebody else meanwhile, copied, deleted."""
        page = self.page
        item = {
            "id": {"S": "session-here"},
            "user": {"S": "one"},
            "seen": {"N": "123456789012345678901234567890"},
        }
        self.client.call("PutItem", {"TableName": "sessions", "Item": item})
        await self.go("items/sessions")
        await page.fill("Operation", "query")
        await page.fill("id", "session-here")
        await page.click("Run")
        await page.click("session-here")
        await page.wait("document.querySelector('dialog textarea')?.value.includes('one')")
        await page.click("Plain JSON")
        await page.wait_text('"seen": 123456789012345678901234567890')
        await page.click("DynamoDB JSON")
        await page.fill("Item as DynamoDB JSON", json.dumps(item | {"user": {"S": "two"}}))
        await page.click("Save")
        await page.wait_text("saved with")
        assert self.stored()["user"] == {"S": "two"}
        # Somebody else is faster: nothing of theirs is lost.
        self.client.call("PutItem", {"TableName": "sessions", "Item": item | {"user": {"S": "theirs"}}})
        await page.fill("Item as DynamoDB JSON", json.dumps(item | {"user": {"S": "three"}}))
        await page.click("Save")
        await page.wait_text(CONFLICT)
        assert self.stored()["user"] == {"S": "theirs"}
        await page.click("Read again")
        await page.wait("document.querySelector('dialog textarea').value.includes('theirs')")
        await page.click("Delete")
        await page.click("Really delete")
        await page.wait("!document.querySelector('dialog')")
        assert self.stored() == {}
        await page.click("New item")
        await page.fill("Item as DynamoDB JSON", json.dumps(item))
        await page.click("Store item")
        await page.wait("!document.querySelector('dialog')")
        assert self.stored() == item
        self.client.call("DeleteItem", {"TableName": "sessions", "Key": {"id": {"S": "session-here"}}})

    def stored(self) -> dict[str, object]:
        """The item that is edited, as it is now."""
        key = {"id": {"S": "session-here"}}
        found: dict[str, object] = self.client.call(
            "GetItem", {"TableName": "sessions", "Key": key, "ConsistentRead": True}
        ).get("Item", {})
        return found

    async def charts(self) -> None:
        """Five charts with lines, and figures beside them."""
        await self.go("charts")
        await self.page.wait("document.querySelectorAll('.uplot canvas').length === 5")
        await self.page.wait(
            "!document.querySelector('.chart').getAttribute('aria-label').includes('reads –')"
        )
        await self.page.wait("/reads\\D*[1-9]/.test(document.querySelector('.u-legend').innerText)")
        await self.fits()

    async def heat(self) -> None:
        """The hot key stands out: it is named, and its line is brighter than all others."""
        page = self.page
        await self.go("heat")
        await page.wait_text(HOT)
        await page.wait(
            "document.querySelector('.heat canvas').getAttribute('aria-label').includes('Hottest key: id = "
            + HOT
            + "')"
        )
        await page.wait(f"({BRIGHTEST})() > 2")
        await self.fits()

    async def streams(self) -> None:
        """The stream of orders with its shards; the keyboard gets to the navigation."""
        await self.go("streams")
        await self.page.wait_text("ENABLED")
        await self.page.wait_text("Open shards")
        await self.fits()
        await self.page.key("Tab", 9)
        await self.page.wait("document.activeElement.className === 'skip'")
        await self.page.key("Tab", 9)
        await self.page.wait("document.activeElement.className === 'brand'")


BRIGHTEST = """() => {
  const canvas = document.querySelector('.heat canvas');
  const context = canvas.getContext('2d');
  const ratio = devicePixelRatio || 1;
  const x = (canvas.clientWidth - 250 - 3) * ratio;
  const rows = [];
  for (let y = 12; y < 372; y += 2) {
    const [red, green, blue] = context.getImageData(x, y * ratio, 1, 1).data;
    rows.push(Math.abs(red - blue) + red);
  }
  rows.sort((one, other) => other - one);
  return rows[0] / (rows[Math.floor(rows.length / 2)] + 1);
}"""
"""How far the most striking line of the newest column is from an ordinary one, in the dark colours."""


async def visit(
    port: int,
    visitor: Visitor,
    pictures: Path | None,
    processes: list[str],
    wait_s: float,
    filled: Callable[[], None] = lambda: None,
) -> list[str]:
    """Go through all pages; returns what the browser complains about. `filled` is called when there are items."""
    client = Client(port)
    fill(client)
    filled()
    with contextlib.closing(client), Load(port):
        async with browser() as page:
            tour = Tour(page, f"http://{visitor.host}", client, pictures)
            await page.prefer("dark")
            await tour.cluster_map(processes)
            await tour.tables()
            await tour.items()
            await tour.streams()
            await tour.charts()
            await tour.heat()
            if pictures is not None:
                await take_pictures(tour, wait_s)
            return [each for each in page.complaints if not any(part in each for part in COMPLAINTS_EXPECTED)]


async def take_pictures(tour: Tour, wait_s: float) -> None:
    """The pictures of the README, once there is some history to see."""
    page = tour.page
    await asyncio.sleep(wait_s)
    await page.resize(1280, 860)
    await tour.heat()
    await page.wait_text("Hottest keys")
    await tour.picture("heat")
    await page.resize(1280, 720)
    await tour.charts()
    await tour.picture("charts")
    await page.prefer("light")
    await page.run("localStorage.setItem('theme', 'light')")
    await tour.go("cluster?again")
    await page.run("location.reload()")
    await page.wait_text("node-1")
    await page.wait_text("by-town")
    await page.resize(1280, 1010)
    await page.wait(
        "[...document.querySelectorAll('.process dd')].some((each) => each.textContent.includes('ms'))"
    )
    await tour.picture("cluster")
    await tour.go("tables/orders")
    await page.wait_text("Deletion protection")
    await page.resize(1280, 720)
    await tour.picture("tables")


def main() -> int:
    """Run the tour; exit code 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=Path, help="take the README's pictures into this folder")
    parser.add_argument("--short", action="store_true", help="an embedded server instead of a cluster")
    parser.add_argument("--history-s", type=float, default=60.0, help="load before the pictures, in seconds")
    options = parser.parse_args()
    if program() is None:
        print("there is no Chromium on this machine; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    processes = (
        ["server"]
        if options.short
        else [f"node-{number}" for number in range(1, 7)] + ["router-1", "router-2"]
    )
    with tempfile.TemporaryDirectory() as folder:
        start = embedded if options.short else cluster
        with start(Path(folder)) as (port, visitor):
            work = visit(
                port,
                visitor,
                options.pictures,
                processes,
                options.history_s,
                (lambda: None) if options.short else lambda: split(Path(folder), "orders"),
            )
            complaints = asyncio.run(work)
    for each in complaints:
        print(f"the browser complains: {each}")
    print("all pages are as they should be" if not complaints else f"{len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
