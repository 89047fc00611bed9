"""What the page about signaling says is what the types say, and its programs run."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import msgspec
import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from icelane import RTCConfiguration, SignalClient
from icelane.aio.system import SystemWallClock, monotonic
from icelane.signaling.admission.session_cookie import DEFAULT_NAME
from icelane.signaling.admission.webhook import SIGNATURE_HEADER, sign
from icelane.signaling.admitted import Admission
from icelane.signaling.app import signaling_app
from icelane.signaling.close_code import CloseCode, reconnect_rule
from icelane.signaling.limits import MAX_REPLAY, RESUME_WINDOW
from icelane.signaling.messages import SIGNAL_PATH, ClientFrame, ServerFrame
from tests.signaling.admission.entrance import ORIGIN, entrance, knock, token
from tests.signaling.fake_gate import FakeGate
from tests.signaling.http_server import serving

PAGE = Path(__file__).parents[2] / "docs/howto/signaling.md"
TEXT = PAGE.read_text()


def frames(union: object) -> dict[str, set[str]]:
    """The keys of each frame by its type."""
    return {
        str(info.tag): {field.encode_name for field in info.fields} - {"id"}
        for info in (msgspec.inspect.type_info(kind) for kind in get_args(union))
        if isinstance(info, msgspec.inspect.StructType)
    }


@pytest.mark.parametrize("union", [ClientFrame, ServerFrame], ids=["client", "server"])
def test_every_frame_and_every_key_is_on_the_page(union: object) -> None:
    words = set(re.findall(r"`([^`\n]+)`", TEXT)) | set(re.findall(r"[\w-]+", TEXT))
    for kind, keys in frames(union).items():
        assert kind in words, kind
        assert keys - words <= {"node"}, kind


def test_every_close_code_is_on_the_page_with_what_a_client_does() -> None:
    rows = dict(re.findall(r"^\| (\d{4}) \|.*\| ([^|]+) \|$", TEXT, re.MULTILINE))
    assert set(rows) == {str(int(code)) for code in CloseCode} | {"1009"}
    for code, action in rows.items():
        assert ("comes back" in action) == (reconnect_rule(int(code)).value != "never"), code


def test_the_window_is_what_the_page_says() -> None:
    assert f"the last {MAX_REPLAY} pushes" in TEXT
    assert f"for {RESUME_WINDOW:g} seconds" in TEXT


def test_the_call_of_the_page_says_hello(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    block = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    program = block[: block.index("asyncio.run(")]

    class OnLoopback(SignalClient):
        def __init__(self, url: str, **options: object) -> None:
            super().__init__(url, configuration=RTCConfiguration(interfaces=["lo"]), **options)  # type: ignore[arg-type]  # as the page wrote it

    monkeypatch.setattr("icelane.SignalClient", OnLoopback)
    written: dict[str, object] = {}
    exec(compile(program, str(PAGE), "exec"), written)
    main = written["main"]

    async def call() -> None:
        async with asyncio.timeout(30), serving(signaling_app(FakeGate())) as url:
            await asyncio.gather(main(url, "ann"), main(url, "bob"))  # type: ignore[operator]  # it is a function

    asyncio.run(call())
    assert sorted(capsys.readouterr().out.split("\n")[:2]) == ["hello ann", "hello bob"]


def program(index: int, **known: object) -> FastAPI:
    """The application of one of the page's programs."""
    block = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[index]
    written: dict[str, object] = {**known}
    exec(compile(block, str(PAGE), "exec"), written)
    app = written["app"]
    assert isinstance(app, FastAPI)
    return app


async def ask(
    app: FastAPI, path: str, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    async with AsyncClient(transport=ASGITransport(app), base_url="https://app.example.org") as client:
        return await client.post(path, content=body, headers=dict(headers))


def test_the_webhook_of_the_page_takes_what_we_sign_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a secret of the page")

    async def scenario() -> None:
        app = program(1)
        now = SystemWallClock().unix_time(monotonic())
        for ip, expected in (
            ("203.0.113.7", {"allow": {"rooms": ["lobby"]}}),
            ("203.0.113.9", {"deny": {"code": "banned"}}),
        ):
            body = json.dumps({"event": "before_connect", "ip": ip}).encode()
            signature = sign(body, "a secret of the page", now)
            answer = await ask(app, "/hook", body, {SIGNATURE_HEADER: signature})
            assert (answer.status_code, answer.json()) == (200, expected)
            for headers in ({}, {SIGNATURE_HEADER: sign(body, "another", now)}, {SIGNATURE_HEADER: signature + "0"}):
                assert (await ask(app, "/hook", body, headers)).status_code == 403
            assert (await ask(app, "/hook", body + b" ", {SIGNATURE_HEADER: signature})).status_code == 403

    asyncio.run(scenario())


def test_the_cookie_of_the_page_counts_beside_the_value_that_the_page_is_given() -> None:
    async def join_token(_: str) -> str:
        return token()

    async def scenario() -> None:
        answer = await ask(program(2, join_token=join_token), "/login")
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        assert name == DEFAULT_NAME
        control = entrance(cookies=frozenset({name}))
        subprotocols = ("icelane.signal.v1", f"csrf.{answer.json()['csrf']}")
        request = knock(("Origin", ORIGIN), cookies={name: value}, subprotocols=subprotocols)
        assert isinstance(await control.admit(request), Admission)

    asyncio.run(scenario())


def test_the_path_of_the_page_is_the_one_that_clients_take() -> None:
    assert f"The path is `{SIGNAL_PATH}`" in TEXT
