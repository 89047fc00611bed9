"""Admission as a configuration has it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from icelane.aio.system import SystemWallClock, monotonic
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.node.admission import ConfiguredAdmission, rate_settings, signaling_limits, token_signer, unusable
from icelane.server.access import WatchedLists, access_sources
from icelane.server.config import Config, parse_config
from icelane.server.machine import Machine
from icelane.signaling.admission.join_token import create_token
from icelane.signaling.admission.rate import RateSettings
from icelane.signaling.admission.request import Allow, Connected, ConnectRequest, Deny
from icelane.signaling.admitted import Admission, Refusal
from icelane.signaling.limits import SignalingLimits
from icelane.turn.access_list import AccessLists

MACHINE = Machine(addresses=("127.0.0.1", "10.0.0.5"), preferred=("10.0.0.5",))
SECRET = "b3f0e9c2a7d84f5196e3c8b2a1d07f64"
KEY = "ik_5a0c2f6e8b7d4c1393e2f1a0b9d8c7e6"
JWT = {"issuer": "example", "algorithm": "HS256", "secret": SECRET}


def parsed(**tables: Any) -> Config:
    return parse_config({"auth": {"jwt": [JWT], "api_keys": {"backend": KEY}}, **tables}, machine=MACHINE)


def configured(**tables: Any) -> ConfiguredAdmission:
    config = parsed(**tables)
    lists = AccessLists()
    lists.replace(access_sources(config).load())
    return ConfiguredAdmission(config, lists, entropy=SystemEntropy(), node="n1")


def token(found: ConfiguredAdmission, identity: str = "alice") -> str:
    assert found.signer is not None
    now = SystemWallClock().unix_time(monotonic())
    return create_token(found.signer, identity=identity, unix_time=now, entropy=SystemEntropy())


async def outcome(found: ConfiguredAdmission, text: str, ip: str = "203.0.113.7", **more: str) -> Admission | Refusal:
    lines = [("Authorization", f"Bearer {text}"), *more.items()]
    raw = [(name.encode(), value.encode()) for name, value in lines]
    return await found.control.admit(found.control.request(peer=ip, raw_headers=raw))


async def before_connect(request: ConnectRequest) -> object:
    return Deny("banned") if request.claims.get("sub") == "mallory" else Allow(labels={"node": request.node})


told: list[object] = []


async def on_connected(event: object) -> object:
    told.append(event)
    return None


def test_a_configuration_admits_whom_it_says() -> None:
    async def scenario() -> None:
        found = configured(hooks={"before_connect": f"{__name__}:before_connect"}, lists={"deny": ["198.51.100.0/24"]})
        alice = await outcome(found, token(found))
        assert isinstance(alice, Admission)
        assert alice.labels == {"node": "n1"}
        for refused in (
            await outcome(found, token(found, "mallory")),
            await outcome(found, token(found), ip="198.51.100.1"),
            await outcome(found, "nonsense"),
            await outcome(found, token(found), Origin="https://evil.example"),
        ):
            assert isinstance(refused, Refusal)
        backend = await outcome(found, KEY)
        assert isinstance(backend, Admission)
        assert backend.api_key == "backend"
        await found.close()

    asyncio.run(scenario())


def test_our_own_pages_may_connect() -> None:
    async def scenario() -> None:
        found = configured(server={"public_url": "https://call.example.org"})
        assert isinstance(await outcome(found, token(found), Origin="https://call.example.org"), Admission)
        assert isinstance(await outcome(found, token(found), Origin="https://app.example.org"), Refusal)

    asyncio.run(scenario())


def test_a_reload_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """OP-12: keys and hooks change together; where one of them cannot, none of them does."""

    async def scenario() -> None:
        found = configured()
        text = token(found)
        for broken in (
            parsed(hooks={"before_connect": "no_such_package:function"}, auth={}),
            parsed(auth={"jwt": [{"issuer": "x", "algorithm": "ES256", "public_key": str(tmp_path / "missing")}]}),
        ):
            with pytest.raises(ConfigurationError):
                found.prepare(broken)
            assert isinstance(await outcome(found, text), Admission)
        commit = found.prepare(parsed(auth={}))
        assert isinstance(await outcome(found, text), Admission)
        commit()
        assert found.signer is None
        assert isinstance(await outcome(found, text), Refusal)

    asyncio.run(scenario())


def test_a_file_of_a_list_counts_while_the_server_runs(tmp_path: Path) -> None:
    """SG-4: without a reload."""
    file = tmp_path / "deny"
    file.write_text("")

    async def scenario() -> None:
        config = parsed(lists={"deny_file": str(file)})
        watched, changed = WatchedLists(), asyncio.Event()
        watched.on_change(changed.set)
        watched.start(config)
        found = ConfiguredAdmission(config, watched.lists, entropy=SystemEntropy())
        assert isinstance(await outcome(found, token(found)), Admission)
        file.write_text("identity:alice\n")
        await asyncio.wait_for(changed.wait(), 10)
        assert isinstance(await outcome(found, token(found)), Refusal)
        await watched.close()

    asyncio.run(scenario())


def test_two_programs_are_told_although_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        found = configured(hooks={"on_connected": [f"{__name__}:on_connected", "http://127.0.0.1:1/"]})
        now = SystemWallClock().unix_time(monotonic())
        event = Connected(identity="alice", session="s", ip="203.0.113.7", at=now)
        found.control.tell(event)
        await found.close()
        assert told == [event]

    with caplog.at_level(logging.WARNING, logger="icelane"):
        asyncio.run(scenario())
    assert "signaling.notice_failed" in caplog.text


def test_the_defaults_of_the_configuration_are_those_of_the_library() -> None:
    """So that a program that mounts signaling and the daemon behave alike."""
    config = parsed()
    assert rate_settings(config) == RateSettings()
    assert signaling_limits(config) == SignalingLimits()


def test_no_limit_is_still_one() -> None:
    config = parsed(limits={"messages_per_second": 0})
    assert signaling_limits(config).frames_per_second == 5000
    assert rate_settings(config).messages_per_identity["message"].per_second == 0


def test_a_pair_of_keys_signs_and_verifies(tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256")
    (tmp_path / "public.pem").write_bytes(key.as_pem(private=False))
    (tmp_path / "private.pem").write_bytes(key.as_pem(private=True))
    entry = {
        "issuer": "example",
        "algorithm": "ES256",
        "kid": "k2",
        "public_key": str(tmp_path / "public.pem"),
        "private_key": str(tmp_path / "private.pem"),
    }

    async def scenario() -> None:
        found = configured(auth={"jwt": [entry]})
        assert isinstance(await outcome(found, token(found)), Admission)
        assert "PRIVATE" not in repr(found.signer)

    asyncio.run(scenario())
    only_public = parsed(auth={"jwt": [{name: value for name, value in entry.items() if name != "private_key"}]})
    assert token_signer(only_public) is None


def test_everything_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    config = parsed(
        auth={"jwt": [{"issuer": "x", "algorithm": "RS256", "public_key": str(tmp_path / "a"), "private_key": "b"}]},
        lists={"countries": str(tmp_path / "c")},
    )
    found = unusable(config)
    assert [error.key for error in found] == ["auth.jwt[0].public_key", "lists.countries", "auth.jwt[0].private_key"]
    assert found[0].file == str(tmp_path / "a")
    assert unusable(parsed()) == []
    assert [error.key for error in unusable(parsed(hooks={"on_left": "a_missing:f"}))] == ["hooks.on_left"]
