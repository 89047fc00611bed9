"""What the page about the call page says is what the program and the pages do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from icelane import RTCConfiguration, SignalClient, web
from icelane.server.config.model import ServerSettings
from icelane.signaling.app import signaling_app
from tests.signaling.fake_gate import FakeGate
from tests.signaling.http_server import serving

PAGE = Path(__file__).parents[2] / "docs/howto/call-page.md"
TEXT = PAGE.read_text()


def test_the_program_of_the_page_says_the_same_code_at_both_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = [one for one in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "asyncio.run(" in one]
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
    said = capsys.readouterr().out.split("\n")[:2]
    assert said[0] == said[1]
    assert re.fullmatch(r"our code is (\d{4} ?){5}", said[0])


def test_the_settings_and_names_of_the_page_are_there() -> None:
    assert "pages = false" in TEXT
    assert ServerSettings.model_fields["pages"].default is True
    modules = "".join(path.read_text() for path in web.PAGES.glob("*.js"))
    for name in ("token", "ticket", "name", "camera", "microphone", "screen"):
        assert f"`{name}`" in TEXT or f"#{name}=" in TEXT or f"&{name}=" in TEXT
        assert name in modules
    assert 'FILE_LABEL = "file"' in modules
    assert "negotiated: true, id: 0" in modules
