"""Takes the pictures of the call page in docs/images, of a real call in Chromium.

    python -m docs.call_pictures

Everything is real but the cameras: each is a canvas on which somebody is drawn who breathes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from demo.chromium import chromium
from demo.trust import environment_that_trusts
from tests.interop.call_page import ChromiumDriver, PageNode, Visitor

IMAGES: Final = Path(__file__).parent / "images"

CAMERA: Final = """
const [wall, floor, skin, hair, cloth] = %s
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
navigator.mediaDevices.getUserMedia = async wanted => {
  const stream = await open(wanted)
  if (!wanted.video) return stream
  const canvas = Object.assign(document.createElement("canvas"), { width: 960, height: 720 })
  const paint = canvas.getContext("2d")
  const oval = (x, y, width, height, color) => {
    paint.fillStyle = color
    paint.beginPath()
    paint.ellipse(x, y, width, height, 0, 0, 7)
    paint.fill()
  }
  setInterval(() => {
    const breath = Math.sin(performance.now() / 700)
    const x = 480 + 6 * breath, up = 4 * breath
    paint.fillStyle = wall
    paint.fillRect(0, 0, 960, 720)
    paint.fillStyle = floor
    paint.fillRect(0, 520, 960, 200)
    paint.fillStyle = "rgb(255 255 255 / 45%%)"
    for (const [left, top] of [[90, 90], [190, 90], [90, 220], [190, 220]]) paint.fillRect(left, top, 92, 122)
    oval(x, 330 - up, 158, 186, hair)
    oval(x, 850 - up, 340, 310, cloth)
    oval(x, 520 - up, 58, 84, skin)
    oval(x, 360 - up, 122, 150, skin)
    oval(x - 12, 236 - up, 138, 74, hair)
    for (const side of [-46, 46]) oval(x + side, 352 - up, 10, 12, hair)
    paint.strokeStyle = hair
    paint.lineWidth = 6
    paint.lineCap = "round"
    paint.beginPath()
    paint.arc(x, 410 - up, 36, 0.35, 2.8)
    paint.stroke()
  }, 66)
  for (const track of stream.getVideoTracks()) stream.removeTrack(track)
  for (const track of canvas.captureStream(15).getTracks()) stream.addTrack(track)
  return stream
}
"""
# Wall, floor, skin, hair, clothes; and how each looks at the page.
PEOPLE: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "Ann": (("#efd9bd", "#d9b796", "#f0c4a4", "#543426", "#246e68"), {"viewport": {"width": 1280, "height": 800}}),
    "Bob": (
        ("#b7d0de", "#86a9c0", "#8e6248", "#241e1e", "#d68a42"),
        {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "device_scale_factor": 1.5},
    ),
    "Cleo": (
        ("#d3ddbd", "#a6bb8f", "#deaa84", "#a85630", "#5c4a80"),
        {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    ),
}


async def take() -> None:
    """All pictures."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node = PageNode(folder)
        await stack.enter_async_context(node.running())
        environment = environment_that_trusts(node.authority, folder / "home")
        browser = await stack.enter_async_context(chromium(environment=environment))
        people = []
        for name, (colors, view) in PEOPLE.items():
            page = await (await browser.new_context(**view)).new_page()
            await page.add_init_script(CAMERA % json.dumps(colors))
            await page.goto(node.link(name.lower()))
            people.append(Visitor(name, ChromiumDriver(page)))
        ann, bob, cleo = people
        await bob.sees("() => document.querySelector('#preview-picture').videoWidth > 0", within=60)
        await bob.fill("#name", "Bob")
        await shot(bob, "call-lobby-phone")
        for visitor in people:
            await visitor.join()
        for visitor in people:
            await visitor.sees_pictures_of(*(other for other in PEOPLE if other != visitor.name))
        await bob.click("#microphone-switch")
        await ann.click("#chat-switch")
        await ann.say("Good morning! Does everybody see the sketch?")
        await bob.say("Yes, and the colours are right now.")
        await cleo.say("I will send the notes afterwards.")
        await ann.reads("#lines", "the notes")
        await asyncio.sleep(10)  # until the encoders have found their bandwidth
        await shot(ann, "call")
        await shot(bob, "call-phone")
        await cleo.code_with("Ann")
        await shot(cleo, "call-security")


async def shot(visitor: Visitor, name: str) -> None:
    """Without the ring around what has the focus."""
    await visitor.driver.run("() => document.activeElement?.blur()")
    await visitor.page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(take())
