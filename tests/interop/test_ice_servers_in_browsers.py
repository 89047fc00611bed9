"""What `/v1/ice-servers` and its compatibility shapes answer, in the constructors of real browsers as it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from demo.trust import PACKAGE as TRUST_PACKAGE
from icelane.signaling.http.compatibility import SHAPES
from tests import certificates
from tests.interop.conftest import need_program
from tests.interop.peers.chromium import PACKAGE as CHROMIUM_PACKAGE
from tests.interop.peers.firefox import PACKAGE as FIREFOX_PACKAGE
from tests.interop.peers.firefox import Here, firefox
from tests.signaling.http.asgi import AS_OPERATOR, JSON, World

pytestmark = [pytest.mark.interop, pytest.mark.once]

# Opens a body, as it came, and gives it once more as a refresh does; what a browser does not take, it throws.
OPEN = """async (text) => {
    const opened = JSON.parse(text).map((body) => {
        try {
            const connection = new RTCPeerConnection(JSON.parse(body));
            connection.setConfiguration(JSON.parse(body));
            const servers = connection.getConfiguration().iceServers.length;
            connection.close();
            return servers;
        } catch (error) {
            return `${error.name}: ${error.message}`;
        }
    });
    return JSON.stringify(opened);
}"""

ADDRESSES = (
    "stun:[2001:db8::1]:3478",
    "turn:[2001:db8::1]:3478?transport=udp",
    "turn:192.0.2.1:3478?transport=tcp",
    "turns:bücher.example:443?transport=tcp",
)


def bodies() -> dict[str, str]:
    """Each text with what it is."""
    world, others = World(compat=SHAPES), World(urls=ADDRESSES)
    made = {
        "ours": world.ask("POST", "/v1/ice-servers", AS_OPERATOR).body,
        "addresses": others.ask("POST", "/v1/ice-servers", AS_OPERATOR).body,
    }
    for user in ("ü" * 60, "x" * 256, "a:b|c\x7f"[:5], "日本語" * 40):
        body = json.dumps({"user": user, "ttl": 60}).encode()
        made[f"user {user[:5]}"] = world.ask("POST", "/v1/ice-servers", AS_OPERATOR, JSON, body=body).body
    relay = world.ask("POST", "/v1/ice-servers", AS_OPERATOR, JSON, body=b'{"policy": "relay"}')
    made["relay only"] = relay.body
    cloudflare = "/v1/turn/keys/k/credentials"
    made["cloudflare"] = world.ask("POST", f"{cloudflare}/generate-ice-servers", AS_OPERATOR).body
    texts = {name: body.decode() for name, body in made.items()}
    twilio = world.ask("POST", "/2010-04-01/Accounts/AC1/Tokens.json", AS_OPERATOR).json
    texts["twilio"] = json.dumps({"iceServers": twilio["ice_servers"]})
    once = world.ask("POST", f"{cloudflare}/generate", AS_OPERATOR).json
    texts["cloudflare, one entry"] = json.dumps({"iceServers": [once["iceServers"]]})
    xirsys = world.ask("PUT", "/_turn/c", AS_OPERATOR, JSON, body=b'{"format": "urls"}').json
    texts["xirsys"] = json.dumps({"iceServers": [xirsys["v"]["iceServers"]]})
    for name, path in (("uberti", "/turn"), ("matrix", "/_matrix/client/v3/voip/turnServer")):
        given = world.ask("GET", path, AS_OPERATOR).json
        entry = {"urls": given["uris"], "username": given["username"], "credential": given["password"]}
        texts[name] = json.dumps({"iceServers": [entry]})
    return texts


def assert_opened(texts: dict[str, str], outcome: str) -> None:
    opened = dict(zip(texts, json.loads(outcome), strict=True))
    expected = {name: len(json.loads(text)["iceServers"]) for name, text in texts.items()}
    assert opened == expected


def test_chromium_opens_every_body() -> None:
    """CR-9: no null, no empty list, no URL and no name that makes the constructor throw."""
    executable = need_program("chromium", CHROMIUM_PACKAGE)
    texts = bodies()

    async def open_all() -> str:
        async with async_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
            browser = await playwright.chromium.launch(executable_path=executable, headless=True, args=arguments)
            page = await browser.new_page()
            outcome: str = await page.evaluate(OPEN, json.dumps(list(texts.values())))
            await browser.close()
            return outcome

    assert_opened(texts, asyncio.run(open_all()))


def test_firefox_opens_every_body(tmp_path: Path) -> None:
    """CR-9: the same, with the other engine."""
    executable = need_program("firefox-esr", FIREFOX_PACKAGE)
    need_program("certutil", TRUST_PACKAGE)
    texts = bodies()

    async def open_all() -> str:
        async with firefox(executable, Here(), certificates.authority_file(tmp_path), tmp_path) as running:
            context = await running.session.open_page("about:blank")
            return await running.session.call_function(context, OPEN, json.dumps(list(texts.values())))

    assert_opened(texts, asyncio.run(open_all()))
