"""Admission that lets in whom it should not."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request

from icelane.core import net
from icelane.signaling.admission import (
    answer,
    control,
    credential,
    forwarded,
    hook,
    json_text,
    json_web_token,
    origin,
    signing_key,
)
from icelane.signaling.admission.api_key import ApiKeys
from icelane.signaling.admission.control import AdmissionControl
from icelane.signaling.admission.forwarded import TrustedProxies
from icelane.signaling.admission.headers import Headers
from icelane.signaling.admission.hook import GuardedHook, HookFailedError
from icelane.signaling.admission.json_web_token import TokenRefusedError, UnverifiedToken
from icelane.signaling.admission.key_set import PublishedKeys
from icelane.signaling.admission.origin import OriginPolicy, OriginVerdict
from icelane.signaling.admission.rate import RateLimits
from icelane.signaling.admission.request import Allow, ConnectRequest
from icelane.signaling.admission.ticket import TicketStore
from icelane.signaling.admitted import Admission
from icelane.signaling.http.admission_callers import AdmissionCallers
from icelane.signaling.http.caller import Operator
from icelane.turn import access_list
from icelane.turn.access_list import AccessLists
from icelane.turn.server import TurnServer
from tests.broken.registry import breaks, swap

TESTS = "tests/signaling/admission"
NAMES = "tests/turn/test_ephemeral_user.py"
CONTROL = f"{TESTS}/test_control.py"
TOKENS = f"{TESTS}/test_json_web_token.py"


# Origin and cookies


@breaks("SG-1", test=f"{TESTS}/test_origin.py::test_any_other_text_is_foreign[https://app.example.org.evil.com]")
def an_origin_that_begins_right_is_right() -> None:
    def judge(self: OriginPolicy, headers: Headers) -> OriginVerdict:
        text = headers.get("origin")
        if text is None:
            return OriginVerdict.ABSENT
        begins = any(text.startswith(allowed) for allowed in self.allowed)
        return OriginVerdict.ALLOWED if begins else OriginVerdict.FOREIGN

    swap(OriginPolicy, "judge", judge)


@breaks("SG-1", test=f"{TESTS}/test_origin.py::test_two_origins_are_foreign_though_both_are_allowed")
def the_first_of_two_origins_counts() -> None:
    def judge(self: OriginPolicy, headers: Headers) -> OriginVerdict:
        lines = headers.lines("origin")
        if not lines:
            return OriginVerdict.ABSENT
        return OriginVerdict.ALLOWED if lines[0] in self.allowed else OriginVerdict.FOREIGN

    swap(OriginPolicy, "judge", judge)


@breaks("SG-1", test=f"{TESTS}/test_origin.py::test_a_pattern_stops_the_start")
def an_origin_may_be_a_pattern() -> None:
    swap(origin, "parse_origin", lambda text: str(text))


@breaks("SG-2", test=f"{CONTROL}::test_a_cookie_alone_is_never_enough")
def a_cookie_needs_nothing_beside_it() -> None:
    swap(credential, "shows_csrf", lambda cookie, shown: True)


@breaks("SG-2", test=f"{CONTROL}::test_a_cookie_alone_is_never_enough")
def a_cookie_needs_no_origin() -> None:
    cookie = credential.Credentials._cookie
    swap(
        credential.Credentials,
        "_cookie",
        lambda self, request, verdict: cookie(self, request, OriginVerdict.ALLOWED),
    )


@breaks("SG-2", test=f"{CONTROL}::test_a_hook_sees_cookies_only_beside_something_that_a_page_must_know")
def a_hook_sees_every_cookie() -> None:
    swap(credential, "withholds_cookies", lambda request, verdict: False)


@breaks("SG-2", test=f"{CONTROL}::test_a_foreign_page_is_refused_before_the_upgrade_whatever_it_shows")
def a_foreign_page_may_show_something_good() -> None:
    swap(OriginPolicy, "judge", lambda self, headers: OriginVerdict.ABSENT)


# Hooks


@breaks("SG-3", test=f"{CONTROL}::test_a_hook_that_says_nothing_of_sense_lets_nobody_in")
def a_hook_that_fails_lets_everybody_in() -> None:
    ask = GuardedHook.ask

    async def lenient(
        self: GuardedHook[ConnectRequest], event: ConnectRequest, *, ip: str, cache_key: bytes | None = None
    ) -> object:
        try:
            return await ask(self, event, ip=ip, cache_key=cache_key)
        except HookFailedError:
            return Allow()

    swap(GuardedHook, "ask", lenient)


@breaks("SG-3", test=f"{TESTS}/test_hook.py::test_whatever_is_no_answer_lets_nobody_in[asyncio-is_cancelled-cancelled]")
def a_cancelled_hook_takes_the_connection_with_it() -> None:
    async def call(self: GuardedHook[ConnectRequest], event: ConnectRequest, source: bytes) -> object:
        async with asyncio.timeout(1):
            return await self._hook(event)

    swap(GuardedHook, "_call", call)


@breaks("SG-3", test=f"{TESTS}/test_hook.py::test_a_thousand_that_hang_do_not_keep_others_out")
def one_address_may_take_every_place_at_the_hook() -> None:
    swap(hook, "MAX_RUNNING_PER_ADDRESS", 1_000_000)


@breaks("SG-3", test=f"{TESTS}/test_hook.py::test_no_more_than_so_many_run_at_once[asyncio]")
def hooks_run_without_number() -> None:
    swap(hook, "MAX_RUNNING", 1_000_000)


@breaks("SG-3", test=f"{CONTROL}::test_a_hook_that_says_nothing_of_sense_lets_nobody_in")
def the_answer_of_a_function_is_not_looked_at() -> None:
    swap(control, "_checked", lambda allow: allow)


# The order of things, and lists


@breaks("SG-4", test="tests/turn/test_access_list.py::test_deny_wins_over_allow")
def allow_wins_over_deny() -> None:
    refuses = access_list._Pair.refuses_address

    def lenient(self: access_list._Pair, host: str) -> str | None:
        return None if self._allow.has_address(host) else refuses(self, host)

    swap(access_list._Pair, "refuses_address", lenient)


@breaks("SG-4", test=f"{TESTS}/test_forwarded.py::test_an_address_has_one_spelling")
def a_mapped_address_is_another_one() -> None:
    swap(net, "unmapped_host", lambda host: host)


@breaks("SG-4", test=f"{CONTROL}::test_whoever_the_hook_makes_of_somebody_is_held_against_the_lists")
def the_hook_may_name_somebody_who_is_denied() -> None:
    swap(AdmissionControl, "_refuses_identity", lambda self, request, identity: None)


@breaks("SG-4", test=f"{CONTROL}::test_lists_rates_and_origin_answer_before_the_upgrade")
def lists_are_not_asked_before_the_upgrade() -> None:
    swap(AccessLists, "refuses_address", lambda self, host: None)


@breaks("SG-4", test="tests/turn/test_access_list.py::test_whoever_is_connected_is_held_against_the_lists")
def whoever_is_in_stays() -> None:
    swap(AccessLists, "refused_now", lambda self, clients: iter(()))


@breaks("SG-4", test="tests/turn/test_server_access.py::test_a_changed_list_ends_what_is_allocated")
def an_allocation_outlives_a_list() -> None:
    swap(TurnServer, "enforce_access", lambda self: 0)


@breaks("SG-5", test=f"{TESTS}/test_forwarded.py::test_a_header_from_somebody_who_is_no_proxy_does_not_count")
def everybody_may_say_whom_he_speaks_for() -> None:
    swap(TrustedProxies, "__contains__", lambda self, host: True)


@breaks("SG-5", test=f"{CONTROL}::test_forged_hops_do_not_open_a_second_bucket")
def the_left_most_hop_is_the_client() -> None:
    def client_of(self: TrustedProxies, peer: str, headers: Headers) -> str:
        hops = [hop for hop in forwarded.forwarded_hops(headers) if hop is not None]
        return hops[0] if hops and peer in self else peer

    swap(TrustedProxies, "client_of", client_of)


# Tokens


@breaks("SG-6", test=f"{TOKENS}::test_the_algorithm_is_the_one_beside_the_key")
def a_token_chooses_its_algorithm() -> None:
    swap(
        json_web_token, "wire_names", lambda algorithm: ("HS256", "HS512", "RS256", "none", "None", "", "hs256", "NONE")
    )


@breaks("SG-6", test=f"{TOKENS}::test_a_public_key_is_no_secret")
def a_public_key_may_be_a_secret() -> None:
    swap(json_web_token, "wire_names", lambda algorithm: (algorithm, "HS256"))


@breaks("SG-6", test=f"{TOKENS}::test_a_header_that_brings_something_along_is_refused")
def a_header_may_bring_anything() -> None:
    def lenient(header: Mapping[str, object]) -> tuple[str, str | None]:
        return str(header.get("alg")), None

    swap(json_web_token, "_checked_header", lenient)


@breaks("SG-6", test=f"{TOKENS}::test_a_token_is_good_until_it_expires")
def a_token_is_good_for_ever() -> None:
    swap(json_web_token, "LEEWAY", 1e12)


@breaks("SG-6", test=f"{TOKENS}::test_a_token_without_a_real_expiry_is_refused")
def a_token_needs_no_expiry() -> None:
    swap(json_web_token, "_instant", lambda claims, name: None if name == "nbf" else float("inf"))


@breaks("SG-6", test=f"{TOKENS}::test_the_audience_is_one_text_and_ours")
def the_audience_may_be_among_others() -> None:
    check = json_web_token.check_claims

    def lenient(claims: Mapping[str, object], audience: str, unix_time: object) -> None:
        named = claims.get("aud")
        if isinstance(named, list) and audience in named:
            return
        check(claims, audience, unix_time)  # type: ignore[arg-type]

    swap(json_web_token, "check_claims", lenient)


@breaks("SG-6", test=f"{TOKENS}::test_claims_that_two_readers_could_read_differently_are_refused")
def the_last_of_two_claims_counts() -> None:
    swap(json_text, "_once_each", dict)


@breaks("SG-6", test=f"{TOKENS}::test_the_last_letter_has_no_bits_to_spare")
def a_signature_has_two_spellings() -> None:
    import base64

    swap(json_web_token, "_decode", lambda part: base64.urlsafe_b64decode(part + "=="))


@breaks("SG-6", test=f"{TOKENS}::test_published_keys_are_fetched_once_and_from_the_configured_place_alone")
def every_unknown_kid_asks_the_issuer() -> None:
    from icelane.signaling.admission import key_set

    swap(key_set, "RETRY_INTERVAL", -1.0)


@breaks("SG-6", test=f"{TOKENS}::test_keys_of_two_issuers_are_not_mixed_up")
def a_key_is_looked_up_by_its_kid_alone() -> None:
    every: list[PublishedKeys] = []
    init, find = PublishedKeys.__init__, PublishedKeys.find

    def remember(self: PublishedKeys, *arguments: object, **named: object) -> None:
        every.append(self)
        init(self, *arguments, **named)  # type: ignore[arg-type]

    async def find_anywhere(self: PublishedKeys, kid: str | None) -> object:
        return [key for keys in every for key in await find(keys, kid)]

    swap(PublishedKeys, "__init__", remember)
    swap(PublishedKeys, "find", find_anywhere)


@breaks("SG-6", test=f"{CONTROL}::test_a_hook_never_sees_claims_of_a_token_that_was_not_verified")
def a_hook_sees_claims_of_anybody() -> None:
    swap(control, "_as_hooks_see", _with_unverified_claims)


def _with_unverified_claims(request: ConnectRequest, verdict: object, shown: credential.Shown) -> ConnectRequest:
    from dataclasses import replace

    claims = json_web_token.parse_token(shown.token).claims if shown.token else {}
    return replace(request, token=shown.token, claims=claims)


# Secrets


@breaks("SG-7", test=f"{CONTROL}::test_a_token_in_the_url_is_refused_unless_switched_on")
def a_token_may_stand_in_the_url() -> None:
    init = credential.Credentials.__init__
    swap(
        credential.Credentials,
        "__init__",
        lambda self, **arguments: init(self, **{**arguments, "query_tokens": True}),
    )


@breaks("SG-7", test=f"{CONTROL}::test_records_say_why_and_never_what")
def a_refusal_is_logged_with_the_token() -> None:
    def refuse(self: AdmissionControl, request: ConnectRequest, reason: str, refusal: object) -> object:
        control.LOGGER.warning("signaling.refused", extra={"reason": reason, "carried": dict(request.carried)})
        return refusal

    swap(AdmissionControl, "_refuse", refuse)


@breaks("SG-7", test=f"{TOKENS}::test_nothing_shows_a_secret")
def a_token_shows_in_its_repr() -> None:
    swap(UnverifiedToken, "__repr__", lambda self: f"UnverifiedToken({self.claims})")


@breaks("CR-6", test=f"{TESTS}/test_ticket.py::test_what_is_kept_is_no_ticket")
def a_ticket_is_kept_as_it_is() -> None:
    from icelane.signaling.admission import ticket

    swap(ticket, "sha256", lambda data: data)


@breaks("CR-6", test=f"{TESTS}/test_api_key.py::test_a_key_is_hashed_at_load")
def an_api_key_is_kept_as_it_is() -> None:
    init = ApiKeys.__init__

    def keep(self: ApiKeys, keys: Mapping[str, str] | None = None) -> None:
        init(self, keys)
        self.plain = dict(keys or {})  # type: ignore[attr-defined]

    swap(ApiKeys, "__init__", keep)


# Who it is, and how often


@breaks("CR-1", test=f"{CONTROL}::test_whoever_shows_nothing_good_gets_one_and_the_same_answer")
def a_bad_token_is_told_what_is_bad_about_it() -> None:
    from icelane.signaling.admission import refusal

    swap(refusal, "bad_token", lambda fault: refusal.denied(fault.value))


@breaks("SG-13", test=f"{CONTROL}::test_the_first_carrier_counts_and_it_alone")
def a_good_token_makes_up_for_a_bad_one() -> None:
    examine = credential.Credentials.examine

    async def forgiving(self: credential.Credentials, request: ConnectRequest, *rest: object) -> object:
        from dataclasses import replace

        try:
            return await examine(self, request, *rest)  # type: ignore[arg-type]
        except (TokenRefusedError, credential.CredentialRefusedError):
            return await examine(self, replace(request, headers=Headers()), *rest)  # type: ignore[arg-type]

    swap(credential.Credentials, "examine", forgiving)


@breaks("SG-13", test="tests/signaling/http/test_admission_callers.py::test_only_an_api_key_makes_an_operator")
def whoever_calls_himself_a_backend_is_one() -> None:
    async def lenient(self: AdmissionCallers, request: Request) -> object:
        found = await identify(self, request)
        return Operator("backend") if isinstance(found, Admission) and found.identity.startswith("api:") else found

    identify = AdmissionCallers.identify
    swap(AdmissionCallers, "identify", lenient)


@breaks("SG-13", test=f"{TESTS}/test_ticket.py::test_a_ticket_admits_once")
def a_ticket_admits_again() -> None:
    def redeem(self: TicketStore, text: str, now: float) -> Allow | None:
        from icelane.crypto.provider import sha256

        kept = self._kept.get(sha256(text.encode()))
        return None if kept is None else kept.allow

    swap(TicketStore, "redeem", redeem)


@breaks("SG-11", test=f"{TESTS}/test_rate.py::test_an_address_connects_so_often_a_minute")
def nobody_connects_too_often() -> None:
    swap(RateLimits, "connect", lambda self, ip, now: None)


@breaks("SG-12", test=f"{TESTS}/test_rate.py::test_messages_are_limited_by_kind_and_room")
def nobody_sends_too_much() -> None:
    swap(RateLimits, "message", lambda self, identity, room, kind, now: None)


@breaks("CR-4", test=f"{TESTS}/test_rate.py::test_an_identity_has_limits_of_its_own")
def credentials_are_made_as_often_as_one_likes() -> None:
    swap(RateLimits, "credentials", lambda self, identity, now: None)


@breaks("CR-3", test=f"{TESTS}/test_join_token.py::test_a_lifetime_is_within_a_second_and_a_day")
def a_token_lives_as_long_as_one_likes() -> None:
    from icelane.signaling.admission import join_token

    swap(join_token, "MAX_LIFETIME", 1e15)


@breaks("OP-12", test=f"{CONTROL}::test_a_reload_counts_for_the_next_and_a_bad_one_not_at_all")
def a_bad_reload_counts_in_part() -> None:
    reload = AdmissionControl.reload

    def hasty(self: AdmissionControl, settings: control.AdmissionSettings) -> None:
        self._rules.settings = settings
        self._rules.credentials = credential.Credentials(
            tokens=json_web_token.TokenVerifier(()), api_keys=ApiKeys(), tickets=self.tickets
        )
        reload(self, settings)

    swap(AdmissionControl, "reload", hasty)


@breaks("SG-9", test=f"{CONTROL}::test_a_request_that_does_not_parse_is_said")
def a_broken_query_is_read_as_far_as_it_goes() -> None:
    from icelane.signaling.admission import request

    swap(request, "parse_query", lambda query: {})


@breaks(
    "SG-4",
    test=f"{NAMES}::test_a_pattern_that_may_be_about_somebody_keeps_him_out_and_lets_nobody_in[25]",
)
def whoever_has_a_long_name_is_on_no_list() -> None:
    swap(AccessLists, "refuses_hidden", lambda self, identity: None)


@breaks(
    "SG-3",
    test=(
        f"{TESTS}/test_answer.py::test_what_is_no_answer_admits_nobody[asyncio-limits are a table]",
        f"{TESTS}/test_answer.py::test_what_is_no_answer_admits_nobody[asyncio-an expiry is nan]",
    ),
)
def answers_are_not_looked_into() -> None:
    swap(answer, "parse_allow", lambda body: Allow(identity="alice"))
    swap(answer, "checked_allow", lambda allow: allow)


@breaks("SG-6", test=f"{TOKENS}::test_what_everybody_may_know_is_no_secret[key]")
def a_public_key_is_a_secret() -> None:
    swap(signing_key, "_PEM", "no key")
