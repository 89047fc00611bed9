"""A hub that trusts, tells, forgets or keeps too much."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import logging

from icelane.core.clock import Instant
from icelane.signaling import concealment, direction_rule, failure, messages
from icelane.signaling.admission.control import AdmissionControl
from icelane.signaling.admitted import Admission
from icelane.signaling.close_code import CloseCode
from icelane.signaling.desk import Desk
from icelane.signaling.engine import Arrived, Published
from icelane.signaling.engine_memory import MemoryBroker
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.hub import Hub
from icelane.signaling.hub_event import AskJoin
from icelane.signaling.messages import ClientFrame, Hello, SendMessage, SignalData
from icelane.signaling.moderation import Moderation
from icelane.signaling.outbox import CloseConnection, Outbox
from icelane.signaling.push import PreparedPush, Replay
from icelane.signaling.room_view import RoomView
from icelane.signaling.rooms import Rooms, Said
from icelane.signaling.session import Connection, Session
from icelane.signaling.sessions import Sessions
from icelane.signaling.timer import Timer, TimerKind
from icelane.signaling.token_bucket import TokenBucket
from tests.broken.registry import breaks, swap

HUB = "tests/signaling/test_hub.py"
ROOMS = "tests/signaling/test_rooms.py"
HISTORY = "tests/signaling/test_history.py::test_within_the_window_nothing_is_lost_doubled_or_reordered[1]"
MESSAGES = "tests/signaling/test_messages.py"
WEBSOCKET = "tests/signaling/test_websocket.py"


# SG-3: fails closed.


@breaks("SG-3", test=f"{ROOMS}::test_a_hook_that_does_not_answer_is_a_no_and_frees_what_waits")
def a_hook_that_does_not_answer_is_a_yes() -> None:
    swap(Hub, "_handle_undecided", lambda self, decision, now: self.provide_decision(decision, None, now))


@breaks("SG-3", test=f"{HUB}::test_an_admission_that_takes_for_ever_is_a_refusal")
def admission_may_take_for_ever() -> None:
    inner = Hub._handle_timer

    def patient(self: Hub, timer: Timer, now: Instant) -> None:
        if timer.kind is not TimerKind.HELLO:
            inner(self, timer, now)

    swap(Hub, "_handle_timer", patient)


@breaks("SG-3", test=f"{ROOMS}::test_a_decision_for_somebody_who_is_gone_changes_nothing")
def a_late_yes_lets_the_absent_in() -> None:
    sessions: dict[int, Session] = {}
    ask, provide = Hub._handle_join, Hub.provide_decision

    def remember(self: Hub, connection: Connection, session: Session, join: object, now: Instant) -> None:
        ask(self, connection, session, join, now)  # type: ignore[arg-type]  # as it came
        if self._commands and isinstance(self._commands[-1], AskJoin):
            sessions[self._commands[-1].decision] = session

    def believe(self: Hub, decision: int, refusal: None, now: Instant) -> None:
        session = sessions.get(decision)
        if session is not None and session.ended:
            join = messages.Join(id=1, room="r")
            session.ended = False
            self._rooms.join(session, join, now)
            self._settle(now)
        provide(self, decision, refusal, now)

    swap(Hub, "_handle_join", remember)
    swap(Hub, "provide_decision", believe)


APP = "tests/signaling/test_app.py"


@breaks(
    "SG-3",
    test=(
        f"{APP}::test_hooks_about_frames_are_asked_because_they_are_there[asyncio]",
        f"{APP}::test_a_hook_that_a_reload_adds_is_asked_from_the_next_frame_on[asyncio]",
    ),
)
def hooks_about_messages_are_asked_where_somebody_remembers() -> None:
    swap(AdmissionControl, "asks_about_messages", False)


# SG-4: lists, and the reason before the close.


@breaks("SG-4", test=f"{HUB}::test_a_session_that_a_list_has_now_is_ended")
def lists_end_nobody_who_is_there() -> None:
    swap(Moderation, "end_session", lambda self, session, refusal, now: True)


@breaks("SG-4", test=f"{HUB}::test_whoever_is_refused_is_told_why_before_the_close")
def nobody_is_told_why() -> None:
    def silent(self: Desk, connection: Connection, code: CloseCode, error: ErrorCode | str, *rest: object) -> None:
        connection.outbox.finish(CloseConnection(code, ""))
        self._awake[connection.id] = None

    swap(Desk, "goodbye", silent)


# SG-7: secrets.


@breaks("SG-7", test=f"{HUB}::test_what_ends_a_connection_is_an_event_without_secrets")
def a_hello_shows_its_token() -> None:
    swap(Hello, "__repr__", lambda self: f"Hello(token={self.token!r})")


@breaks("SG-7", test=f"{WEBSOCKET}::test_an_admission_that_breaks_admits_nobody[asyncio]")
def failures_are_written_with_their_text() -> None:
    def written(what: str, error: BaseException) -> None:
        extra = {"error": type(error).__name__}
        logging.getLogger("icelane.signaling").error("signaling.failed", exc_info=error, extra=extra)

    swap(failure, "report_failure", written)


# SG-8: what is too long.


@breaks("SG-8", test=f"{MESSAGES}::test_lengths_have_bounds")
def frames_have_no_bound() -> None:
    swap(messages, "MAX_FRAME", 1 << 40)


# SG-9: what is malformed.


@breaks("SG-9", test=f"{HUB}::test_a_duplicate_key_is_read_as_everybody_else_reads_what_is_passed_on")
def json_is_passed_on_unread() -> None:
    def unread(frame: ClientFrame) -> ClientFrame:
        return frame

    swap(messages, "_checked", unread)


@breaks("SG-9", test=f"{MESSAGES}::test_depth_has_a_bound_that_strings_do_not_count_for")
def json_may_be_as_deep_as_it_likes() -> None:
    swap(messages, "_is_deeper", lambda value, limit: False)


# SG-10: who does not read.


@breaks(
    "SG-10",
    test=(
        f"{HUB}::test_whoever_does_not_read_is_let_go_at_the_bound[10-256]",
        "tests/signaling/test_outbox.py::test_both_bounds_hold_and_what_was_taken_makes_room",
    ),
)
def what_waits_has_no_bound() -> None:
    def take_all(self: Outbox, item: str | tuple[int, PreparedPush]) -> bool:
        self._items.append(item)
        return True

    swap(Outbox, "add", take_all)


# SG-11: who says nothing.


@breaks(
    "SG-11",
    test=(
        f"{HUB}::test_whoever_says_nothing_is_gone_after_ten_seconds",
        f"{HUB}::test_pings_before_hello_do_not_keep_a_connection",
    ),
)
def nobody_has_to_say_hello() -> None:
    inner = Hub._handle_connection_timer

    def lenient(self: Hub, kind: TimerKind, connection: Connection, now: Instant) -> None:
        if kind is not TimerKind.HELLO:
            inner(self, kind, connection, now)

    swap(Hub, "_handle_connection_timer", lenient)


@breaks("SG-11", test=f"{HUB}::test_connections_without_a_hello_are_bounded_and_others_still_get_in")
def the_silent_are_not_counted() -> None:
    inner = Hub.handle_connected

    def uncounted(self: Hub, connection: object, address: str, now: Instant) -> None:
        self._waiting_for_welcome = -1_000_000
        inner(self, connection, address, now)  # type: ignore[arg-type]  # as it came

    swap(Hub, "handle_connected", uncounted)


# SG-12: who says too much.


@breaks("SG-12", test=f"{HUB}::test_a_flood_closes_the_one_who_floods")
def buckets_are_never_empty() -> None:
    swap(TokenBucket, "take", lambda self, now: True)


@breaks("SG-12", test=f"{HUB}::test_coming_back_does_not_fill_the_bucket_again")
def coming_back_fills_the_bucket() -> None:
    inner = Sessions._attach

    def fresh(self: Sessions, session: Session, connection: Connection, ice: None, now: Instant) -> None:
        session.bucket = connection.bucket = TokenBucket(50.0, 200, now)
        inner(self, session, connection, ice, now)

    swap(Sessions, "_attach", fresh)


# SG-13: what somebody may do.


@breaks(
    "SG-13",
    test=(
        f"{ROOMS}::test_a_room_that_the_token_does_not_have_is_refused",
        f"{HUB}::test_an_admission_covers_rooms_by_name_or_prefix",
        f"{HUB}::test_a_refresh_that_grants_less_takes_out_of_rooms",
    ),
)
def every_room_is_covered() -> None:
    swap(Admission, "covers", lambda self, room: True)


@breaks("SG-13", test=f"{ROOMS}::test_nobody_is_heard_in_a_room_that_he_is_not_in")
def peers_of_other_rooms_are_reached() -> None:
    def anywhere(self: Rooms, session: Session, peer: str) -> list[RoomView]:
        return [view for view in self._views.values() if peer in view.members]

    swap(Rooms, "_shared_rooms", anywhere)


@breaks("SG-13", test=f"{ROOMS}::test_moderators_remove_others")
def everybody_is_a_moderator() -> None:
    inner = Rooms.moderate

    def promoted(self: Rooms, session: Session, frame: object, now: Instant) -> None:
        from dataclasses import replace

        from icelane.signaling.admitted import Grant

        session.admission = replace(session.admission, grants=frozenset(Grant))
        inner(self, session, frame, now)  # type: ignore[arg-type]  # as it came

    swap(Rooms, "moderate", promoted)


@breaks("SG-13", test=f"{HUB}::test_a_refresh_keeps_the_session_and_cannot_change_the_identity")
def a_refresh_may_change_who_somebody_is() -> None:
    swap(Sessions, "refresh", lambda self, session, refresh, admission, now: self._admit(session, admission, now))


@breaks(
    "SG-13",
    test=(
        f"{HUB}::test_what_was_granted_ends_when_it_expires",
        f"{HUB}::test_an_admission_that_is_over_admits_nobody",
    ),
)
def what_was_granted_never_ends() -> None:
    swap(Sessions, "_is_over", lambda self, admission, now: False)


@breaks("SG-13", test=f"{ROOMS}::test_whoever_may_not_message_may_still_negotiate")
def a_grant_that_is_not_there_is_not_missed() -> None:
    def lenient(self: Rooms, session: Session, message: SendMessage) -> bool:
        return self._message_refusal(session, message) is None

    swap(Rooms, "may_message", lenient)


@breaks("SG-13", test=f"{HUB}::test_a_resume_needs_the_same_identity_and_a_number_that_was_given")
def whoever_knows_a_session_has_it() -> None:
    inner = Sessions.welcome

    def trusting(self: Sessions, connection: Connection, hello: Hello, admission: Admission, *rest: object) -> object:
        session = self._desk.session(hello.resume.session) if isinstance(hello.resume, messages.Resume) else None
        return inner(self, connection, hello, session.admission if session else admission, *rest)  # type: ignore[arg-type]  # as it came

    swap(Sessions, "welcome", trusting)


# OP-10: what a resume promises.


@breaks("OP-10", test=HISTORY)
def a_resume_loses_the_first() -> None:
    inner = Replay.since

    def short(self: Replay, sequence: int) -> list[tuple[int, PreparedPush]] | None:
        found = inner(self, sequence)
        return found and [(number - 1, push) for number, push in found[1:]]

    swap(Replay, "since", short)


@breaks("OP-10", test=HISTORY)
def keys_are_forgotten() -> None:
    swap(Session, "remember", lambda self, key: None)


@breaks("OP-10", test=HISTORY)
def whoever_is_away_misses_what_is_said() -> None:
    inner = Desk.push

    def present_only(self: Desk, session: Session, push: PreparedPush) -> None:
        if session.connection is not None:
            inner(self, session, push)

    swap(Desk, "push", present_only)


@breaks("OP-10", test=HISTORY)
def a_room_is_told_in_another_order_now_and_then() -> None:
    inner = MemoryBroker._tell

    def shuffled(self: MemoryBroker, node: str, delivery: object) -> None:
        inner(self, node, delivery)  # type: ignore[arg-type]  # as it came
        waiting = self._deliveries_by_node.get(node)
        if waiting and len(waiting) > 1 and isinstance(delivery, Published | Arrived):
            waiting.rotate()

    inner_settle = Hub._settle
    calls = [0]

    def lazy(self: Hub, now: Instant) -> None:
        calls[0] += 1
        if calls[0] % 3 == 0:
            inner_settle(self, now)

    swap(MemoryBroker, "_tell", shuffled)
    swap(Hub, "_settle", lazy)


@breaks("OP-10", test=HISTORY)
def nothing_is_ever_resumed() -> None:
    swap(Replay, "since", lambda self, sequence: None)


@breaks("OP-2", test=f"{HUB}::test_draining_spreads_the_goodbyes_and_admits_nobody")
def everybody_is_sent_away_at_once() -> None:
    swap(Hub, "_random", lambda self, below: 0.0)


@breaks("SG-13", test=f"{ROOMS}::test_a_relay_only_room_passes_on_no_address")
def addresses_are_passed_on() -> None:
    def open_handed(data: SignalData) -> SignalData:
        return data

    swap(concealment, "concealed", open_handed)


@breaks(
    "SG-13",
    test=(
        f"{ROOMS}::test_a_policy_that_a_hook_puts_in_place_of_the_tokens_is_kept_to[alice]",
        f"{ROOMS}::test_whoever_becomes_relay_only_tells_no_address_and_is_told_none_from_then_on[bob-2]",
        f"{WEBSOCKET}::test_a_policy_of_before_ice_counts_for_what_is_passed_on[asyncio]",
        f"{WEBSOCKET}::test_a_refresh_asks_before_ice_again[asyncio]",
    ),
)
def what_a_hook_says_of_addresses_is_for_the_servers_alone() -> None:
    swap(Sessions, "_restrict", lambda self, session, relay_only, now: None)


CONCEALMENT = "tests/signaling/test_concealment.py"
_ODD = "candidate:1 1 udp 1 203.0.113.5 9 typ relay"


@breaks(
    "SG-13",
    test=(
        f"{CONCEALMENT}::test_no_word_of_a_candidate_holds_an_address[{_ODD} RADDR {{}} RPORT 5000-10.1.2.3]",
        f"{CONCEALMENT}::test_no_line_of_a_description_holds_an_address"
        "[4-a=candidate:1 1 udp 1 203.0.113.5 5 typ relay RADDR {} rport 5-10.1.2.3]",
    ),
)
def extensions_that_nobody_knows_pass() -> None:
    swap(concealment, "_is_known", lambda name, value: True)


@breaks(
    "SG-13",
    test=(
        f"{CONCEALMENT}::test_no_line_of_a_description_holds_an_address[4-a=ssrc:1 cname:me@{{}}-2001:db8::beef]",
        f"{CONCEALMENT}::test_what_names_the_section_of_a_candidate_is_no_address[10.1.2.3]",
    ),
)
def addresses_pass_where_none_belongs() -> None:
    swap(concealment, "without_addresses", lambda text: text)


@breaks("SG-13", test=f"{CONCEALMENT}::test_no_line_of_a_description_holds_an_address[2-i={{}}-10.1.2.3]")
def lines_that_nobody_knows_pass() -> None:
    swap(concealment, "_LINES", tuple("iukezr"))
    swap(concealment, "without_addresses", lambda text: text)


@breaks(
    "SG-13",
    test=(
        f"{ROOMS}::test_a_description_goes_only_the_ways_that_are_granted[grants1-passes1]",
        f"{ROOMS}::test_a_description_goes_only_the_ways_that_are_granted[grants2-passes2]",
        f"{ROOMS}::test_no_second_direction_and_no_other_kind_gets_round_the_grants",
    ),
)
def nobody_looks_which_way_media_goes() -> None:
    swap(direction_rule, "missing_grant", lambda sdp, grants: None)


@breaks("SG-12", test=f"{ROOMS}::test_what_somebody_says_of_himself_is_counted_and_asked_about_as_what_he_says")
def updates_are_counted_by_nobody() -> None:
    inner = Hub._handle_said

    def free(self: Hub, connection: Connection, session: Session, frame: Said, now: Instant) -> None:
        if isinstance(frame, messages.Update):
            self._rooms.update(session, frame, now)
        else:
            inner(self, connection, session, frame, now)

    swap(Hub, "_handle_said", free)


@breaks("OP-10", test=f"{HUB}::test_a_pong_acknowledges_what_came_before_its_ping_and_nothing_after")
def a_pong_acknowledges_what_is_on_its_way() -> None:
    def all_of_it(self: Hub, connection: Connection) -> None:
        if connection.session is not None:
            connection.session.replay.acknowledge(connection.session.replay.last)

    swap(Hub, "_handle_pong", all_of_it)
