"""A program that knows users: how it is asked, and what becomes of what it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from icelane.core.net import Path, SocketAddress, Transport
from icelane.errors import ConfigurationError
from icelane.server import credential_source
from icelane.server.credential_source import (
    MAX_CACHED,
    CredentialAnswers,
    CredentialQuery,
    LongTermKey,
    LookupFailedError,
    Password,
    load_source,
)
from icelane.stun.attributes import PasswordAlgorithm
from icelane.turn.credential_lookup import MAX_LOOKUPS
from icelane.turn.routes import LookUpCredential, LookupId
from tests.loops import Run

SERVER = SocketAddress("192.0.2.1", 3478)


def command(username: str = "zoe", host: str = "198.51.100.7", port: int = 5) -> LookUpCredential:
    return LookUpCredential(
        LookupId(1), username, "example.org", Path(SERVER, SocketAddress(host, port), Transport.UDP)
    )


class Book:
    """A source that counts how often it is asked."""

    def __init__(self, answer: object = Password("swordfish")) -> None:
        self.answer = answer
        self.queries: list[CredentialQuery] = []
        self.gate: asyncio.Event | None = None

    async def __call__(self, query: CredentialQuery) -> Password | LongTermKey | None:
        self.queries.append(query)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # what it really is, is what some tests are about


async def knows(query: CredentialQuery) -> Password | None:
    return Password("swordfish") if query.username == "zoe" else None


def knows_at_once(query: CredentialQuery) -> Password | None:
    return Password("swordfish")


def test_a_function_is_found_by_its_name() -> None:
    assert load_source(f"{__name__}:knows") is knows


@pytest.mark.parametrize(
    "name", ["no.such.module:f", f"{__name__}:missing", f"{__name__}:SERVER", f"{__name__}:knows_at_once"]
)
def test_a_function_that_cannot_be_asked_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_source(name)
    assert caught.value.key == "turn.auth"


def test_the_source_is_told_who_asks_and_its_password_fits_both_algorithms(run: Run) -> None:
    async def scenario() -> None:
        book = Book()
        credential = await CredentialAnswers(book).find(command())
        assert credential is not None
        assert book.queries == [
            CredentialQuery(
                username="zoe",
                realm="example.org",
                client=SocketAddress("198.51.100.7", 5),
                transport=Transport.UDP,
            )
        ]
        assert credential.keys(PasswordAlgorithm.MD5)
        assert credential.keys(PasswordAlgorithm.SHA256)

    run(scenario())


def test_keys_do_instead_of_a_password(run: Run) -> None:
    async def scenario() -> None:
        credential = await CredentialAnswers(Book(LongTermKey(md5=bytes(16)))).find(command())
        assert credential is not None
        assert [one.key for one in credential.keys(PasswordAlgorithm.MD5)] == [bytes(16)]
        assert not credential.keys(PasswordAlgorithm.SHA256)

    run(scenario())
    for wrong in ({"md5": b"x"}, {"sha256": bytes(31)}):
        with pytest.raises(ValueError, match="bytes"):
            LongTermKey(**wrong)


@pytest.mark.parametrize("answer", [Password("swordfish"), None])
def test_an_answer_is_remembered_for_a_minute(
    run: Run, monkeypatch: pytest.MonkeyPatch, answer: Password | None
) -> None:
    async def scenario() -> None:
        book = Book(answer)
        answers = CredentialAnswers(book)
        now = [1000.0]
        monkeypatch.setattr(credential_source, "monotonic", lambda: now[0])
        for _ in range(5):
            assert (await answers.find(command()) is None) == (answer is None)
        assert len(book.queries) == 1
        await answers.find(command(host="198.51.100.8"))
        assert len(book.queries) == 2
        now[0] += 61
        await answers.find(command())
        assert len(book.queries) == 3

    run(scenario())


def test_memory_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CACHED == 10_000
    monkeypatch.setattr(credential_source, "MAX_CACHED", 10)

    async def scenario() -> None:
        book = Book(None)
        answers = CredentialAnswers(book)
        for number in range(100):
            await answers.find(command(f"user{number}"))
        assert len(answers._cache) == 10
        await answers.find(command("user99"))
        assert len(book.queries) == 100

    run(scenario())


def test_one_question_is_asked_once_at_a_time_and_only_so_many(run: Run) -> None:
    async def scenario() -> None:
        book = Book()
        book.gate = asyncio.Event()
        answers = CredentialAnswers(book, timeout=30)
        same = [asyncio.create_task(answers.find(command(port=port))) for port in range(1, 20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(book.queries) == 1
        others = [asyncio.create_task(answers.find(command(f"user{n}"))) for n in range(MAX_LOOKUPS)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(answers) == MAX_LOOKUPS
        book.gate.set()
        results = await asyncio.gather(*same, *others, return_exceptions=True)
        assert sum(isinstance(result, LookupFailedError) for result in results) == 1
        assert len(answers) == 0

    run(scenario())


FAILURES: dict[str, tuple[Callable[[], object], str]] = {
    "raises": (lambda: RuntimeError("the password is swordfish"), "exception"),
    "empty": (lambda: Password(""), "exception"),
    "something-else": (lambda: "swordfish", "exception"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_lets_nobody_in_and_is_reported_without_its_text(
    run: Run, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """CR-6: an exception's text may hold what is looked up; no level of the log asks for that."""
    make, reason = FAILURES[name]

    async def scenario() -> None:
        answers = CredentialAnswers(Book(make()))
        for _ in range(3):
            with pytest.raises(LookupFailedError):
                await answers.find(command())

    with caplog.at_level(logging.DEBUG, "icelane.server"):
        run(scenario())
    (record,) = [record for record in caplog.records if record.name == "icelane.server"]
    assert record.message == "turn.lookup_failed"
    assert record.__dict__["reason"] == reason
    assert "swordfish" not in caplog.text + str([vars(record) for record in caplog.records])


def test_where_the_source_failed_is_reported_and_no_line_of_it_is_shown(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """CR-6: a line may hold the password of a database, too. Of an endless recursion the end is enough."""

    async def deep(query: CredentialQuery, depth: int = 100) -> Password:
        if depth:
            return await deep(query, depth - 1)
        raise ConnectionError("postgres://turn:swordfish@db")

    async def scenario() -> None:
        with pytest.raises(LookupFailedError):
            await CredentialAnswers(deep).find(command())

    with caplog.at_level(logging.DEBUG, "icelane.server"):
        run(scenario())
    (record,) = [record for record in caplog.records if record.name == "icelane.server"]
    assert record.__dict__["error"] == "ConnectionError"
    frames = record.__dict__["frames"]
    assert len(frames) == 16
    assert all(frame.startswith(f"{__file__}:") and frame.endswith(" deep") for frame in frames)
    assert "swordfish" not in caplog.text + str(vars(record))


def test_whoever_takes_too_long_is_given_up(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        book = Book()
        book.gate = asyncio.Event()
        answers = CredentialAnswers(book, timeout=0.01)
        with pytest.raises(LookupFailedError):
            await answers.find(command())
        assert len(answers) == 0

    run(scenario())
    assert "turn.lookup_failed" in caplog.text


def test_closing_cancels_what_is_open(run: Run) -> None:
    async def scenario() -> None:
        book = Book()
        book.gate = asyncio.Event()
        answers = CredentialAnswers(book, timeout=30)
        waiting = asyncio.create_task(answers.find(command()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await answers.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(answers) == 0

    run(scenario())


def test_no_answer_shows_itself() -> None:
    assert "swordfish" not in repr(Password("swordfish"))
    assert "AAAA" not in repr(LongTermKey(md5=b"A" * 16))
