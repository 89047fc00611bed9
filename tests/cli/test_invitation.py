"""`icelane token create --open`, by way of a server that has no admin socket, and whether a browser is opened."""

from __future__ import annotations

import pytest

from icelane.cli.invitation import Invited, has_display
from tests.cli.conftest import Icelane


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


def test_a_server_without_pages_is_said(icelane: Icelane) -> None:
    body = "[turn]\nrelay_addresses = ['127.0.0.1']\nusers = { a = 'b' }"
    result = icelane(
        "token", "create", "--open", "--identity", "ann", ICELANE_CONFIG_BODY=body, XDG_RUNTIME_DIR="/nonexistent"
    )
    assert result.code == 2
    assert "icelane dev" in result.err
