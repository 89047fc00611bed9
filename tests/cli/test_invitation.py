"""`icelane token create --open`, by way of a server that has no admin socket, and whether a browser is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from icelane.cli.invitation import Invited, has_display, over_https
from icelane.cli.output import CommandError
from icelane.diagnostics.site import FixedLookup
from icelane.server.config import parse_config
from tests import certificates
from tests.certificates import NAME
from tests.cli.conftest import Icelane
from tests.node.nodes import document, node, say


@pytest.mark.parametrize(
    ("environ", "platform", "shown"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_a_browser_is_opened_where_somebody_sees_it(environ: dict[str, str], platform: str, shown: bool) -> None:
    assert has_display(environ, platform) is shown


def test_the_request_says_what_a_token_would_say_and_no_more() -> None:
    least = Invited(identity="ann", rooms=("demo",), valid_for=60.0)
    assert least.request() == {"command": "invite", "identity": "ann", "rooms": ["demo"], "validFor": 60.0}
    most = Invited(
        identity="ann", rooms=(), valid_for=1.0, name="Ann", grants=("join",), meta={"hat": "red"}, relay_only=True
    )
    assert most.request().items() >= {"name": "Ann", "grants": ["join"], "ice": {"policy": "relay"}}.items()


WANTED = Invited(identity="ann", rooms=("demo",), valid_for=600.0)


def test_without_an_admin_socket_the_ticket_comes_over_https(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as there:
            authority = str(certificates.authority_file(tmp_path))
            lookup = FixedLookup({NAME: "127.0.0.1"})
            url, seconds = await over_https(WANTED, there.config, authority=authority, lookup=lookup)
            page, _, ticket = url.partition("#ticket=")
            assert (page, seconds) == (f"https://{NAME}:{there.address.port}/r/demo", 60)
            websocket = await there.open()
            assert (await say(websocket, {"type": "hello", "id": 1, "ticket": ticket}))["identity"] == "ann"
            await websocket.close()

    asyncio.run(scenario())


def test_a_certificate_that_is_not_trusted_is_said_with_a_mend(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as there:
            with pytest.raises(CommandError, match="cannot be asked for a ticket") as caught:
                await over_https(WANTED, there.config, lookup=FixedLookup({NAME: "127.0.0.1"}))
            assert "icelane doctor" in str(caught.value.problems[0].mend)

    asyncio.run(scenario())


def test_a_server_that_gives_none_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with node(tmp_path) as there:
            authority = str(certificates.authority_file(tmp_path))
            jwt = [{"issuer": "somebody", "algorithm": "HS256", "secret": "another secret of forty bytes, or more..."}]
            stranger = parse_config(document(tmp_path, there.address.port, auth={"jwt": jwt}))
            lookup = FixedLookup({NAME: "127.0.0.1"})
            with pytest.raises(CommandError, match="gives no ticket: 401"):
                await over_https(WANTED, stranger, authority=authority, lookup=lookup)

    asyncio.run(scenario())


def test_a_server_without_pages_is_said(icelane: Icelane) -> None:
    body = "[turn]\nrelay_addresses = ['127.0.0.1']\nusers = { a = 'b' }"
    result = icelane(
        "token", "create", "--open", "--identity", "ann", ICELANE_CONFIG_BODY=body, XDG_RUNTIME_DIR="/nonexistent"
    )
    assert result.code == 2
    assert "icelane dev" in result.err
