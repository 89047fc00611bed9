"""A newcomer's first call, from nothing: a clean clone, an empty environment, cold caches, two pages in a browser.

    python -m benches.first_five_minutes                 # prints how long each step took
    python -m benches.first_five_minutes --pure          # on a machine without a C compiler

What runs this needs the tests' environment and Chromium; what it times has its own: a clone in a temporary directory, a
virtual environment in it, pip without a cache, a home directory with nothing in it. Exits with 1 when the call does not
come about, or not within five minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from demo.chromium import chromium
from demo.trust import environment_that_trusts

GOAL: Final = 300.0
"""Seconds."""

_ROOT: Final = Path(__file__).parents[1]
_CALL_SECONDS: Final = 60.0
_MOVING: Final = """() => {
  const videos = [...document.querySelectorAll("#tiles video")]
  return videos.length > 1 && videos.every(one => one.getVideoPlaybackQuality().totalVideoFrames > 5)
}"""


def _processor_seconds() -> float:
    """Of all children that have ended, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Stopwatch:
    """What took how long by the clock, and of processors, in seconds: other programs slow the first alone."""

    began: float = field(default_factory=time.monotonic)
    began_cpu: float = field(default_factory=_processor_seconds)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the body, and print it as soon as it is over."""
        before, before_cpu = time.monotonic(), _processor_seconds()
        yield
        took, cpu = time.monotonic() - before, _processor_seconds() - before_cpu
        print(f"{self.total:7.1f} s  {name}: {took:.1f} s, {cpu:.1f} s of a processor", flush=True)

    @property
    def total(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def cpu(self) -> float:
        """Processors, since the beginning."""
        return _processor_seconds() - self.began_cpu


@contextmanager
def development_node(icelane: str, *arguments: str, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """`icelane dev --json`, and the document that it prints; ended by SIGTERM. `icelane` is the program's path."""
    command = [icelane, "dev", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environment)) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"icelane dev ended with {process.wait()}")
            yield json.loads(line)
        finally:
            process.terminate()
            process.wait(30)


async def call_of_two(browser: Browser, url: str) -> list[str]:
    """Two people open the link and join; how each page says that the other's pictures come."""
    pages = [await (await browser.new_context()).new_page() for _ in range(2)]
    for page, name in zip(pages, ("Ann", "Bob"), strict=True):
        await _join(page, url, name)
    async with asyncio.timeout(_CALL_SECONDS):
        for page in pages:
            await page.wait_for_function(_MOVING)
            await page.wait_for_function(
                "() => document.querySelector('#tiles .path:not([hidden])')?.textContent.trim()"
            )
    return [(await page.locator("#tiles .path:not([hidden])").first.inner_text()).strip() for page in pages]


async def _join(page: Page, url: str, name: str) -> None:
    await page.goto(url)
    await page.fill("#name", name)
    await page.click("#join")
    await page.wait_for_selector("#call:not([hidden])")


async def _call(url: str, environment: Mapping[str, str]) -> list[str]:
    async with chromium(environment=environment) as browser:
        return await call_of_two(browser, url)


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of somebody who has never been here."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ICELANE_", "XDG_", "PYTHON", "PIP_CACHE"))
    }
    return kept | {"HOME": str(home), "PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run_step(*command: str, environment: Mapping[str, str], folder: Path | None = None) -> None:
    """Run a program. Raises RuntimeError with what it printed when it fails."""
    done = subprocess.run(command, env=dict(environment), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benches.first_five_minutes", description="Times a first call.")
    parser.add_argument("--pure", action="store_true", help="build as where there is no C compiler")
    parser.add_argument("--python", default=sys.executable, help="what makes the virtual environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="icelane-first-") as name:
        return _timed(Path(name), options.python, pure=options.pure)


def _timed(folder: Path, python: str, *, pure: bool) -> int:
    home, clone = folder / "home", folder / "icelane"
    home.mkdir()
    environment = clean_environment(home) | ({"ICELANE_PURE": "1"} if pure else {})
    bin_folder = clone / ".venv" / "bin"
    watch = Stopwatch()
    with watch.step("git clone"):
        run_step("git", "clone", "--quiet", "--no-hardlinks", str(_ROOT), str(clone), environment=environment)
    with watch.step("python -m venv .venv"):
        run_step(python, "-m", "venv", str(clone / ".venv"), environment=environment)
    with watch.step("pip install '.[server]'" + (", without a compiler" if pure else ", compiled")):
        run_step(str(bin_folder / "pip"), "install", "--quiet", ".[server]", environment=environment, folder=clone)
    with watch.step("icelane dev: every path tested"):
        node = development_node(str(bin_folder / "icelane"), environment=environment)
        document = node.__enter__()
    try:
        for check in document["selfTest"]["checks"]:
            print(f"           {check['status']:8} {check['name']:16} {check['ms']:7.1f} ms  {check['detail']}")
        with watch.step("the browser trusts its authority (icelane certs trust --system chromium)"):
            trusting = environment_that_trusts(Path(document["authority"]["file"]), home)
        with watch.step("a call in the browser"):
            paths = asyncio.run(_call(document["urls"]["call"], clean_environment(home) | {"HOME": trusting["HOME"]}))
    finally:
        node.__exit__(None, None, None)
    print(f"\nthe pages say: {paths}")
    print(f"from nothing to a call: {watch.total:.0f} s, of {GOAL:.0f} s; {watch.cpu:.0f} s of a processor")
    return 0 if document["ok"] and watch.total < GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
