"""Breaks of the client of signaling."""

from __future__ import annotations

from icelane.signaling import backoff, client_connection, client_session, push
from icelane.signaling.client_outgoing import Outgoing
from icelane.signaling.client_session import ClientSession
from icelane.signaling.close_code import Reconnect
from icelane.signaling.messages import Push
from tests.broken.registry import breaks, swap

_SESSION = "tests/signaling/test_client_session.py::"
_CUTS = f"{_SESSION}test_cuts_and_slow_readers_lose_double_and_reorder_nothing_inside_the_window"


@breaks("OP-10", test=_CUTS)
def what_was_sent_is_never_sent_again() -> None:
    swap(Outgoing, "rewind", lambda _: None)


@breaks("OP-10", test=_CUTS)
def what_is_sent_again_has_another_key() -> None:
    original = ClientSession.message

    def message(self: ClientSession, *arguments: object) -> int:
        number = original(self, *arguments)  # type: ignore[arg-type]  # as they came
        pending = self._outgoing._pending.get(number)
        if pending is not None:
            pending.text = pending.text.replace(f'"key":"{number}"', f'"unknown":"{number}"')
        return number

    swap(ClientSession, "message", message)


@breaks("OP-10", test=f"{_SESSION}test_nonsense_from_a_server_ends_the_connection_and_nothing_else")
def a_missing_push_is_passed_over() -> None:
    def handle(self: ClientSession, push: Push, _: object) -> None:
        self._apply(push)

    swap(ClientSession, "_handle_push", handle)


@breaks("OP-2", test=f"{_SESSION}test_a_thousand_clients_of_a_restarted_server_come_back_spread_over_a_second")
def everybody_comes_back_at_the_same_time() -> None:
    swap(backoff.Backoff, "next_delay", lambda *_: 0.5)


@breaks(
    "OP-2",
    test=f"{_SESSION}test_whatever_is_in_front_restarts_under_a_hundred_messages_a_second_and_nothing_is_lost",
)
def a_resume_repeats_nothing() -> None:
    swap(push.Replay, "since", lambda *_: [])


@breaks("SG-17", test="tests/signaling/test_client.py::test_cleartext_and_secrets_in_the_url_are_refused")
def cleartext_is_good_enough() -> None:
    swap(client_connection, "_is_this_machine", lambda _: True)


@breaks("SG-7", test="tests/signaling/test_client.py::test_cleartext_and_secrets_in_the_url_are_refused")
def the_client_puts_its_token_into_the_url() -> None:
    swap(client_connection, "urlsplit", _without_user)


@breaks("SG-7", test="tests/signaling/test_client.py::test_cleartext_and_secrets_in_the_url_are_refused")
def a_token_may_stand_in_the_query() -> None:
    swap(client_connection, "_has_token", lambda _: False)


def _without_user(text: str) -> object:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")


@breaks("SG-4", test=f"{_SESSION}test_whether_a_refused_client_comes_back_is_known_from_the_code")
def a_refused_client_comes_back_for_ever() -> None:
    swap(client_session, "rule_of_goodbye", lambda _: Reconnect.JITTER)
