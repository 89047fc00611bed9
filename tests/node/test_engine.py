"""Where rooms are kept, as `[engine]` has it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from icelane.core.clock import Instant
from icelane.errors import ConfigurationError
from icelane.node import engine
from icelane.node.engine import ENGINES, node_name, signal_engine
from icelane.server.config import Config, parse_config
from icelane.server.config.load import load_config
from icelane.server.config.values import ENGINE_SCHEMES
from icelane.server.machine import Machine
from icelane.signaling.admission.request import Allow, ConnectRequest
from icelane.signaling.engine_memory import MemoryEngine
from tests.loops import Run
from tests.node.nodes import AS_OPERATOR, node

MACHINE = Machine(addresses=("127.0.0.1",), preferred=("127.0.0.1",))
seen: list[ConnectRequest] = []


async def before_connect(request: ConnectRequest) -> object:
    seen.append(request)
    return Allow()


def parsed(**keys: str) -> Config:
    return parse_config({"engine": keys}, machine=MACHINE)


def test_the_engine_is_made_by_the_scheme_of_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, str, float]] = []

    def make(url: str, node: str, now: Instant) -> MemoryEngine:
        made.append((url, node, now))
        return MemoryEngine(now, node)

    monkeypatch.setattr(engine, "ENGINES", {"memory": make})
    found = signal_engine(parsed(node="fra-1"), Instant(3.0))
    assert (found.node, made) == ("fra-1", [("memory://", "fra-1", 3.0)])
    monkeypatch.setattr(engine, "ENGINES", {})
    with pytest.raises(ConfigurationError, match=r"engine\.url: there is no engine for memory://"):
        signal_engine(parsed(), Instant(3.0))


def test_every_scheme_that_the_configuration_takes_has_an_engine() -> None:
    assert set(ENGINES) == set(ENGINE_SCHEMES)


@pytest.mark.parametrize("url", ["redis://:s3cret@127.0.0.1", "memory:", "memory://127.0.0.1", "s3cret", ""])
def test_a_url_that_no_engine_is_for_is_refused_by_key_and_file(tmp_path: Path, url: str) -> None:
    file = tmp_path / "icelane.toml"
    file.write_text(f'[engine]\nurl = "{url}"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environ={}, machine=MACHINE)
    assert (caught.value.key, caught.value.file) == ("engine.url", str(file))
    assert "s3cret" not in str(caught.value)


def test_a_node_without_a_name_is_called_like_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "héllo world." + "x" * 100)
    assert node_name(parsed()) == "h-llo-world." + "x" * 52
    assert node_name(parsed(node="fra-1")) == "fra-1"


def test_hooks_and_operators_see_which_node_it_is(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        hooks = {"before_connect": f"{__name__}:before_connect"}
        async with node(tmp_path, engine={"node": "fra-1"}, hooks=hooks) as running:
            alice, _ = await running.enter("alice")
            [peer] = (await running.ask("GET", "/v1/rooms/demo/peers", AS_OPERATOR)).json["peers"]
            assert peer["node"] == "fra-1"
            await alice.close()
        assert {request.node for request in seen} == {"fra-1"}

    run(scenario())
