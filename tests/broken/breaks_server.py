"""A configuration that is not checked, and logs that strangers write."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.server import events, logs
from icelane.server.config import sources, strength, values
from icelane.turn.address_range import parse_address_range
from tests.broken.registry import breaks, swap

ANY = parse_address_range("10.0.0.0/8")
CONFIG = "tests/server/test_config.py"
LOGS = "tests/server/test_logs.py"
EVENTS = "tests/server/test_events.py"


@breaks("TA-11", test=f"{CONFIG}::test_a_weak_or_published_secret_stops_the_start")
def the_configuration_takes_any_secret() -> None:
    swap(strength, "weakness", lambda secret: None)


@breaks("TR-4", test=f"{CONFIG}::test_a_value_that_cannot_be_used_names_its_key")
def the_configuration_takes_any_range() -> None:
    swap(values, "parse_address_range", lambda text: ANY)


@breaks("CR-6", test=f"{CONFIG}::test_no_error_and_no_traceback_shows_a_refused_value")
def errors_repeat_what_was_refused() -> None:
    def decode(path: sources.KeyPath, text: str) -> object:
        raise ValueError(f"not understood: {text}")

    swap(sources, "_decode", decode)


@breaks("TA-15", "OP-15", test=f"{LOGS}::test_hostile_text_makes_exactly_one_line")
def logs_are_written_as_they_come() -> None:
    swap(logs, "escaped", lambda text, limit=0: text)
    swap(logs, "_escape_values", lambda logger, name, event: event)


@breaks("OP-15", test=f"{EVENTS}::test_repeats_of_a_source_are_counted_in_one_record_per_ten_seconds")
def every_refusal_is_a_record() -> None:
    swap(events.RepeatGate, "admit", lambda self, key, now: True)


@breaks("OP-15", test=f"{EVENTS}::test_a_million_sources_fill_neither_memory_nor_disk")
def the_log_remembers_every_source() -> None:
    init = events.RepeatGate.__init__
    swap(
        events.RepeatGate,
        "__init__",
        lambda self, window=10.0, capacity=0: init(self, window, 1 << 60),
    )
