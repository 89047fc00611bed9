"""A public address that changes is followed; one that cannot be is not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

import pytest

from icelane.aio.udp import RawAddress, UdpSocket, address_of
from icelane.core.net import SocketAddress, Transport
from icelane.errors import ConfigurationError, IcelaneError
from icelane.server import external_address
from icelane.server.config import advise
from icelane.server.config.values import parse_address_source
from icelane.server.external_address import (
    AddressNotFoundError,
    CommandFinder,
    ExternalAddressWatch,
    Mapped,
    StunFinder,
)
from icelane.server.machine import Machine
from icelane.server.turn_server import TurnServer
from icelane.stun.attributes import AttributeType, encode_xor_address
from icelane.stun.message import MessageBuilder, parse_message
from tests.loops import Run, close_later
from tests.server.clients import Client, Peer, Refused, address_on, eventually, settings

HERE = "127.0.0.1"
FIRST, SECOND = "203.0.113.7", "203.0.113.8"


class PublicStunServer:
    """Sees everybody at `host`, and can be told to fall silent."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.silent = False
        self.asked = 0
        self._udp = UdpSocket.bind(SocketAddress(HERE, 0), self._on_datagram)
        self.url = f"stun:{self._udp.local}"
        close_later(self)

    def close(self) -> None:
        self._udp.close()

    def _on_datagram(self, data: bytes, source: RawAddress) -> None:
        self.asked += 1
        if self.silent:
            return
        request = parse_message(data)
        mapped = SocketAddress(self.host, address_of(source).port)
        response = MessageBuilder.response_to(request)
        response.add(AttributeType.XOR_MAPPED_ADDRESS, encode_xor_address(mapped, request.transaction_id))
        self._udp.send(response.build(), source)


class Answers:
    """A finder that answers what it is told to, one after the other, and the last one for ever."""

    def __init__(self, *answers: dict[str, str] | IcelaneError) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def find(self, locals_: tuple[str, ...]) -> dict[str, str]:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, IcelaneError):
            raise answer
        return answer


def program(tmp_path: Path, text: str) -> list[str]:
    """An executable shell script."""
    script = tmp_path / "public-address"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return [str(script)]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.message.startswith("turn.external_address")]


def test_new_allocations_are_told_the_new_address_and_old_ones_live_on(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The line was dialled anew: no restart, no lost call on the way out."""
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        stun = PublicStunServer(FIRST)
        config = settings(
            listen=["udp://127.0.0.1:0"],
            relay_addresses=[HERE],
            external_address_from=stun.url,
            external_address_interval="1s",
        )
        async with TurnServer(config) as server:
            first = await Client.allocated(address_on(server, Transport.UDP))
            assert first.relayed[0].host == FIRST
            peer = Peer()
            await first.permit(peer.address)
            stun.host = SECOND
            await eventually(lambda: stun.asked >= 2 and "previous" in str(vars(caplog.records[-1])))
            second = await Client.allocated(address_on(server, Transport.UDP))
            assert second.relayed[0].host == SECOND
            first.send_to(peer.address, b"still there")
            assert (await peer.inbox.take())[0] == b"still there"
            # TR-1: the policy knows the new address as our own, so that clients of this server reach each other by it.
            third = await Client.allocated(address_on(server, Transport.UDP))
            await second.permit(third.relayed[0])
            await third.permit(second.relayed[0])
            second.send_to(third.relayed[0], b"hairpin")
            assert (await third.receive()).payload == b"hairpin"
            with pytest.raises(Refused) as caught:
                await second.bind(0x4000, SocketAddress(SECOND, 22))
            assert caught.value.code == 403

    run(scenario())
    assert events(caplog) == ["turn.external_address"] * 2


def test_a_stun_server_that_falls_silent_changes_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        changes: list[Mapped] = []
        finder = Answers({HERE: FIRST}, AddressNotFoundError("nobody answers"))
        watch = ExternalAddressWatch(finder, (HERE,), 0.01, changes.append)
        await watch.look()
        watch.start()
        await eventually(lambda: finder.asked >= 3)
        await watch.close()
        await watch.close()
        assert watch.found == {HERE: FIRST}
        assert changes == []

    run(scenario())
    assert "turn.external_address_unknown" in events(caplog)


def test_the_server_starts_without_an_answer_and_takes_it_when_it_comes(run: Run) -> None:
    async def scenario() -> None:
        changes: list[Mapped] = []
        finder = Answers(AddressNotFoundError("not yet"), {HERE: FIRST})
        watch = ExternalAddressWatch(finder, (HERE,), 3600.0, changes.append, retry_interval=0.01)
        await watch.look()
        assert watch.found == {}
        watch.start()
        await eventually(lambda: bool(changes))
        await watch.close()
        assert changes == [{HERE: FIRST}]

    run(scenario())


@pytest.mark.parametrize("answer", ["224.0.0.1", "0.0.0.0", "::1", "fe80::1", "nonsense", "198.51.100.9"])
def test_an_address_that_clients_could_not_use_is_not_taken(run: Run, answer: str) -> None:
    """TR-1: whoever runs the STUN server does not decide what counts as our own address."""

    async def scenario() -> None:
        watch = ExternalAddressWatch(
            Answers({HERE: answer}), (HERE,), 60.0, lambda _: None, taken=frozenset({"198.51.100.9"})
        )
        await watch.look()
        assert watch.found == {}

    run(scenario())


def test_two_relay_addresses_behind_one_public_address_are_not_mixed_up(run: Run) -> None:
    async def scenario() -> None:
        finder = Answers({"10.0.0.1": FIRST, "10.0.0.2": FIRST})
        watch = ExternalAddressWatch(finder, ("10.0.0.1", "10.0.0.2"), 60.0, lambda _: None)
        await watch.look()
        assert watch.found == {}

    run(scenario())


def test_a_stun_server_is_asked_from_each_address(run: Run) -> None:
    async def scenario() -> None:
        stun = PublicStunServer(FIRST)
        assert await StunFinder(stun.url).find((HERE, "127.0.0.2")) == {HERE: FIRST, "127.0.0.2": FIRST}
        # An address that the server cannot be asked from is left out, as long as another one can.
        assert await StunFinder(stun.url).find((HERE, "::1")) == {HERE: FIRST}
        with pytest.raises(IcelaneError):
            await StunFinder(stun.url).find(("::1",))

    run(scenario())


def test_a_program_prints_an_address_of_each_family(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        finder = CommandFinder(program(tmp_path, f"echo {FIRST}; echo 2001:db8::7"))
        assert await finder.find((HERE, "::1")) == {HERE: FIRST, "::1": "2001:db8::7"}
        assert await finder.find((HERE,)) == {HERE: FIRST}

    run(scenario())


@pytest.mark.parametrize("text", ["echo nonsense", "exit 3", "true", "echo 2001:db8::7", f"echo {FIRST}; exit 1"])
def test_a_program_that_knows_nothing_is_a_failure(run: Run, tmp_path: Path, text: str) -> None:
    async def scenario() -> None:
        with pytest.raises(AddressNotFoundError):
            await CommandFinder(program(tmp_path, text)).find((HERE,))

    run(scenario())


def test_a_program_that_is_missing_is_a_failure(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(AddressNotFoundError, match="cannot be run"):
            await CommandFinder(["/nonexistent/program"]).find((HERE,))

    run(scenario())


def test_a_program_that_hangs_is_ended(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icelane.server.external_address.TIMEOUT", 0.1)

    async def scenario() -> None:
        with pytest.raises(AddressNotFoundError, match="longer"):
            await CommandFinder(program(tmp_path, "exec sleep 60")).find((HERE,))

    run(scenario())


def test_a_program_does_not_get_the_secrets_of_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CR-6."""
    monkeypatch.setenv("ICELANE_TURN__USERS", '{"alice": "wonderland"}')

    async def scenario() -> None:
        finder = CommandFinder(program(tmp_path, f'test -z "$ICELANE_TURN__USERS" && echo {FIRST}'))
        assert await finder.find((HERE,)) == {HERE: FIRST}

    run(scenario())


@pytest.mark.parametrize(
    "text", ["stun:stun.example.org", "stun:192.0.2.1:3478", "command:/bin/echo 1", "command:/a 'b c' d"]
)
def test_a_source_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_address_source(text)) == text


@pytest.mark.parametrize(
    "text", ["turn:stun.example.org", "https://x", "command:", "command:curl x", "command:/bin/'x", "", "auto"]
)
def test_a_source_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"turn\.external_address_from"):
        settings(external_address_from=text)


def test_a_command_cannot_tell_two_addresses_of_a_family_apart() -> None:
    with pytest.raises(ConfigurationError, match="one address of each family"):
        settings(external_address_from="command:/bin/true", relay_addresses=[HERE, "127.0.0.2"])


@pytest.mark.parametrize("text", ["0s", "5", "", "1.5m", "-1s", "m"])
def test_an_interval_is_a_duration_of_a_second_or_more(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"turn\.external_address_interval"):
        settings(external_address_interval=text)


def test_no_advice_to_write_down_an_address_that_is_looked_for() -> None:
    machine = Machine(addresses=("10.0.0.5",), preferred=("10.0.0.5",))
    config = settings(
        relay_addresses=["10.0.0.5"],
        listen=["udp://10.0.0.5:3478"],
        dangerously_allow_loopback_peers=False,
        external_address_from="stun:stun.example.org",
    )
    assert advise(config, machine) == ()


@pytest.mark.parametrize(
    "text",
    [
        "sleep 30 & sleep 30",  # a child that holds the output open
        "setsid sleep 30 & sleep 30",  # one that has left the group
        "setsid sleep 30 &",  # and one that outlives its parent
        "yes",
        "trap '' TERM HUP; sleep 30",
    ],
)
def test_a_program_that_does_not_end_or_says_too_much_is_ended_in_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The start waits for it, so nothing that it leaves behind may hold the start up."""
    monkeypatch.setattr(external_address, "TIMEOUT", 0.3)

    async def scenario() -> None:
        mark = f"31.{os.getpid()}"  # seconds, and found again among the processes
        command = program(tmp_path, text.replace("30", mark))
        before = time.monotonic()
        with pytest.raises(AddressNotFoundError):
            async with asyncio.timeout(10):
                await CommandFinder(command).find((HERE,))
        assert time.monotonic() - before < 5
        if "setsid" not in text:
            await eventually(lambda: not processes(mark))

    run(scenario())
    for pid in processes(f"31.{os.getpid()}"):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (f"echo {FIRST}; sleep 30 &", True),
        (f"echo {FIRST}; sleep 30 >/dev/null 2>&1 &", True),
        (f"setsid sleep 30 & echo {FIRST}", True),  # which has left the group, and holds the output
        ("sleep 30 & exit 1", False),
        ("sleep 30 >/dev/null 2>&1 & exit 1", False),
    ],
)
def test_what_a_program_leaves_behind_ends_with_it_and_what_it_printed_counts(
    run: Run, tmp_path: Path, text: str, known: bool
) -> None:
    """It is run every five minutes for years: one process each time would fill the machine."""

    async def scenario() -> None:
        mark = f"32.{os.getpid()}"
        finder = CommandFinder(program(tmp_path, text.replace("30", mark)))
        before = time.monotonic()
        if known:
            assert await finder.find((HERE,)) == {HERE: FIRST}
        else:
            with pytest.raises(AddressNotFoundError, match="ended with 1"):
                await finder.find((HERE,))
        assert time.monotonic() - before < external_address.TIMEOUT / 2
        if "setsid" not in text:
            await eventually(lambda: not processes(mark))

    try:
        run(scenario())
    finally:
        for pid in processes(f"32.{os.getpid()}"):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("size", "known"), [(4000, True), (4200, False), (200_000, False)])
def test_only_so_much_is_read(run: Run, tmp_path: Path, size: int, known: bool) -> None:
    async def scenario() -> None:
        finder = CommandFinder(program(tmp_path, f"echo {FIRST}; head -c {size} /dev/zero | tr '\\0' '\\n'"))
        if known:
            assert await finder.find((HERE,)) == {HERE: FIRST}
        else:
            with pytest.raises(AddressNotFoundError, match="more than addresses"):
                await finder.find((HERE,))

    run(scenario())


def processes(word: str) -> list[int]:
    """The processes that have `word` as an argument, those that nobody has waited for left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if word.encode() in arguments:
            found.append(int(folder.name))
    return found
