"""Lines on standard error: one for each record, whatever the network put into it."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.core.net import Path, SocketAddress, Transport
from icelane.server.config import LogSettings
from icelane.server.events import report
from icelane.server.log_line import LineFormatter
from icelane.server.logs import MAX_TEXT, configure_logging, escaped

CLIENT = SocketAddress("203.0.113.7", 4000)
PATH = Path(SocketAddress("192.0.2.1", 3478), CLIENT, Transport.TCP)

HOSTILE = [
    "a\r\nb",
    "\x1b[31mred\x1b[0m",
    "%s%n%d",
    "*",
    "a b",
    "a=1 code=200",
    "\u202edesrever",
    "\u2028line\u2029paragraph\x85next",
    "\x00\x07\x08",
    "x" * 508,
    "\ud800",
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("icelane")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(logging.NOTSET)


def configured(style: str, addresses: bool = False, stream: io.StringIO | None = None) -> io.StringIO:
    """Logging in `style`, and the stream that it writes to."""
    stream = stream or io.StringIO()
    configure_logging(LogSettings.model_validate({"format": style, "addresses": addresses}), stream)
    return stream


@pytest.mark.parametrize("style", ["human", "json"])
def test_each_record_of_one_process_among_several_names_it(style: str) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings.model_validate({"format": style}), stream, worker=3)
    report("turn.ended", logging.INFO, reason="expired")
    logging.getLogger("elsewhere").warning("another library")
    for line in stream.getvalue().splitlines():
        assert json.loads(line)["worker"] == 3 if style == "json" else line.endswith(" worker=3")
    assert "worker" not in json.loads(written_alone())


def written_alone() -> str:
    """A record of a server in one process."""
    stream = configured("json")
    report("turn.ended", logging.INFO, reason="expired")
    return stream.getvalue()


@pytest.mark.parametrize("style", ["human", "json"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_exactly_one_line(style: str, text: str) -> None:
    """TA-15, OP-15: %s%n, CRLF, ANSI, spaces and 500 bytes in what a client sends."""
    stream = configured(style)
    report("turn.refused", logging.INFO, code=401, reason="expired", username=text, realm=text)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert len(line.splitlines()) == 1


@given(st.text(max_size=200))
def test_escaped_text_is_printable_and_one_line(text: str) -> None:
    """TA-15: for any text."""
    shown = escaped(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_different_texts_stay_different(one: str, other: str) -> None:
    """TA-15: no collision of keys."""
    assert (escaped(one) == escaped(other)) == (one == other)


def test_long_text_is_cut() -> None:
    assert len(escaped("x" * 100_000)) <= MAX_TEXT + 3


def test_a_value_with_spaces_cannot_pretend_to_be_another_field() -> None:
    """OP-15: the human form quotes."""
    stream = configured("human")
    report("turn.refused", logging.INFO, username="a code=200")
    assert "username='a code=200'" in stream.getvalue()


def test_json_keeps_numbers_and_names_the_event() -> None:
    stream = configured("json")
    report("turn.refused", logging.INFO, code=401, reason="expired", client=CLIENT)
    record = json.loads(stream.getvalue())
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "turn.refused",
        "level": "info",
        "logger": "icelane.server",
        "code": 401,
        "reason": "expired",
        "client": "203.0.113.0/24",
    }


@pytest.mark.parametrize("style", ["human", "json"])
def test_addresses_are_masked_unless_asked_for(style: str) -> None:
    stream = configured(style)
    report("x", logging.INFO, client=CLIENT, path=PATH)
    logging.getLogger("icelane.aio").warning("%s closed %s", PATH, CLIENT)
    assert "203.0.113.7" not in stream.getvalue()
    assert stream.getvalue().count("203.0.113.0/24") == 4


@pytest.mark.parametrize("style", ["human", "json"])
def test_addresses_are_written_in_full_when_asked_for(style: str) -> None:
    stream = configured(style, addresses=True)
    report("x", logging.INFO, client=CLIENT, path=PATH)
    logging.getLogger("icelane.aio").warning("%s closed %s", PATH, CLIENT)
    assert stream.getvalue().count("203.0.113.7:4000") == 4


@pytest.mark.parametrize("style", ["human", "json"])
def test_records_of_other_libraries_take_the_same_form(style: str) -> None:
    stream = configured(style)
    logging.getLogger("asyncio").warning("two\nlines from %s", "\x1b[31m")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "asyncio" in line
    assert "\x1b" not in line


def test_an_exception_cannot_forge_a_record() -> None:
    """TA-15: each line of a traceback is marked as one."""
    stream = configured("human")
    try:
        raise ValueError("first\n2026-01-01 [info] turn.refused code=200\x1b[2J")
    except ValueError:
        logging.getLogger("icelane.server").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert len(rest) > 3
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


def test_an_exception_in_json_stays_inside_its_record_and_shows_no_local_variable() -> None:
    """CR-6: secrets in frames do not reach the log."""
    stream = configured("json")
    try:
        password = "".join(("hun", "ter2"))
        raise ValueError(len(password))
    except ValueError:
        logging.getLogger("icelane.server").exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert "hunter2" not in stream.getvalue()
    assert "ValueError" in json.loads(stream.getvalue())["exception"]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        configured("human", stream=stream)
        report("x", logging.INFO)
        assert ("\x1b[" in stream.getvalue()) is coloured
    monkeypatch.setenv("NO_COLOR", "1")
    report_after = configured("human", stream=Terminal())
    report("x", logging.INFO)
    assert "\x1b[" not in report_after.getvalue()


def test_hostile_text_sends_no_sequence_to_a_terminal_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """TA-15: only our own colours reach the terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, hostile = configured("human", stream=Terminal()), Terminal()
    report("x", logging.INFO, username="name")
    configured("human", stream=hostile)
    report("x", logging.INFO, username="\x1b]0;title\x07\x1b[2J")
    assert hostile.getvalue().count("\x1b") == plain.getvalue().count("\x1b")


def test_configuring_twice_does_not_write_twice() -> None:
    configured("human")
    stream = configured("human")
    report("x", logging.INFO)
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["ours 10", "ours 20", "ours 30", "theirs 20", "theirs 30"]),
        ("info", ["ours 20", "ours 30", "theirs 20", "theirs 30"]),
        ("warning", ["ours 30", "theirs 30"]),
    ],
)
def test_the_level_says_what_is_written_and_may_change(level: str, written: list[str]) -> None:
    """What libraries have to say at level debug is nobody's business here."""
    for before in ("debug", "warning"):
        configure_logging(LogSettings.model_validate({"level": before}), io.StringIO())
        stream = io.StringIO()
        configure_logging(LogSettings.model_validate({"format": "json", "level": level}), stream)
        for name, logger in (("ours", "icelane.server"), ("theirs", "somebody")):
            for number in (logging.DEBUG, logging.INFO, logging.WARNING):
                logging.getLogger(logger).log(number, f"{name} {number}")
        assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == written


class Number(enum.IntEnum):
    """A number that has a name."""

    ONE = 1


class Word(enum.StrEnum):
    """A text that has a name."""

    ONE = "one word"


VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(HOSTILE),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.none(),
    st.binary(max_size=8),
    st.sampled_from(
        [CLIENT, PATH, SocketAddress("2001:db8::1", 0), Transport.UDP, Number.ONE, Word.ONE, ValueError("x y")]
    ),
    st.lists(st.one_of(st.text(max_size=10), st.just(CLIENT)), max_size=3).flatmap(
        lambda found: st.sampled_from([found, tuple(found), dict.fromkeys(found, 1)])
    ),
)
NAMES = st.one_of(
    st.sampled_from(["code", "reason", "client", "realm", "a b", "_private", "\u2028"]),
    st.sampled_from(["event", "level", "logger", "timestamp", "logger_name", "stack", "exception", "exc"]),
)


def rendered(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The line, or what it raised, but for the time."""
    try:
        line = formatter.format(record)
    except Exception as error:
        return repr(error)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", line)


@pytest.mark.parametrize("style", ["human", "json"])
@given(
    event=st.one_of(st.just("turn.allocated"), st.text(max_size=30), st.sampled_from(HOSTILE)),
    level=st.sampled_from([10, 20, 25, 30, 40]),
    fields=st.dictionaries(NAMES, VALUES, max_size=5),
    in_full=st.booleans(),
)
def test_the_short_way_to_a_line_gives_the_same_line(
    style: str, event: str, level: int, fields: dict[str, object], in_full: bool
) -> None:
    """TA-15, OP-15: masked, escaped and quoted alike, whatever the fields are."""
    configured(style, addresses=in_full)
    (short,) = [handler.formatter for handler in logging.getLogger().handlers if handler.get_name() == "icelane"]
    assert isinstance(short, LineFormatter)
    record = logging.getLogger("icelane.server").makeRecord("icelane.x", level, "x.py", 1, event, (), None)
    record.__dict__.update(fields)
    assert rendered(short, record) == rendered(short.general, record)


@contextlib.contextmanager
def nobody_else_listens() -> Iterator[None]:
    """Takes the handlers of the test runner away."""
    root = logging.getLogger()
    others = [handler for handler in root.handlers if handler.get_name() != "icelane"]
    for other in others:
        root.removeHandler(other)
    try:
        yield
    finally:
        for other in others:
            root.addHandler(other)


def without_time(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


@pytest.mark.parametrize("style", ["human", "json"])
@given(
    event=st.one_of(st.just("turn.allocated"), st.text(max_size=30), st.sampled_from(HOSTILE)),
    level=st.sampled_from([20, 25, 30, 40]),
    fields=st.dictionaries(NAMES.filter(lambda name: name not in ("event", "level")), VALUES, max_size=5),
)
def test_an_event_without_a_record_gives_the_same_line(
    style: str, event: str, level: int, fields: dict[str, object]
) -> None:
    """TA-15, OP-15: whether or not somebody else listens, the line is the same."""
    output = configured(style)
    with nobody_else_listens():
        report(event, level, **fields)
        short = output.getvalue()
        logging.getLogger("icelane").addHandler(logging.NullHandler())
        try:
            report(event, level, **fields)
        finally:
            logging.getLogger("icelane").handlers.clear()
    assert without_time(output.getvalue()) == without_time(short) * 2


@pytest.mark.parametrize("worker", [None, 3])
def test_an_event_needs_no_record_in_one_process_among_several_either(
    worker: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    configure_logging(LogSettings.model_validate({"format": "json"}), output, worker=worker)
    monkeypatch.setattr(logging.getLogger("icelane.server"), "handle", lambda _: pytest.fail("a record was made"))
    with nobody_else_listens():
        report("turn.ended", logging.INFO, reason="expired")
    assert json.loads(output.getvalue()).get("worker") == worker


@pytest.mark.parametrize("listener", ["icelane.server", "icelane", ""])
def test_whoever_else_listens_hears_of_every_event(listener: str) -> None:
    output = configured("human")
    heard: list[logging.LogRecord] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record)

    handler = Listener()
    with nobody_else_listens():
        logging.getLogger(listener).addHandler(handler)
        try:
            report("turn.allocated", logging.INFO, client=CLIENT)
        finally:
            logging.getLogger(listener).removeHandler(handler)
    assert [record.getMessage() for record in heard] == ["turn.allocated"]
    assert output.getvalue().count("turn.allocated") == 1


def test_a_filter_of_the_logger_holds_for_events_without_a_record() -> None:
    output = configured("human")
    logger = logging.getLogger("icelane.server")
    refuse: Callable[[logging.LogRecord], bool] = lambda _: False  # noqa: E731
    with nobody_else_listens():
        logger.addFilter(refuse)
        try:
            report("turn.allocated", logging.INFO, client=CLIENT)
        finally:
            logger.removeFilter(refuse)
    assert output.getvalue() == ""
