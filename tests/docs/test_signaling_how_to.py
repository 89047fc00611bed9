"""What the page about signaling says is what the types say, and its programs run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from icelane import RTCConfiguration, SignalClient
from icelane.signaling.app import signaling_app
from icelane.signaling.close_code import CloseCode, reconnect_rule
from icelane.signaling.limits import MAX_REPLAY, RESUME_WINDOW
from icelane.signaling.messages import SIGNAL_PATH, ClientFrame, ServerFrame
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


def test_the_path_of_the_page_is_the_one_that_clients_take() -> None:
    assert f"The path is `{SIGNAL_PATH}`" in TEXT
