"""TURN credentials over HTTP: for whom, from where, for how long; and a node that reloads and drains as one."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from typing import Any

from icelane.node import signaling as node_signaling
from icelane.server import serving
from icelane.server.workers import supervisor
from icelane.signaling import ice_servers
from icelane.signaling.admission.origin import OriginPolicy, OriginVerdict
from icelane.signaling.admitted import Admission
from icelane.signaling.http import admission_callers, credential_endpoints, endpoint, problem, room_endpoints
from icelane.signaling.http.caller import Operator
from icelane.signaling.service import SignalService
from tests.broken.registry import breaks, swap

CREDENTIALS = "tests/signaling/http/test_credential_endpoints.py"
CALLERS = "tests/signaling/http/test_admission_callers.py"
ICE = "tests/signaling/test_ice_servers.py"
NODE = "tests/node/test_signaling.py"
COMPATIBILITY = "tests/signaling/http/test_compatibility.py"


@breaks("CR-1", test=f"{CREDENTIALS}::test_whoever_is_not_known_gets_the_same_401")
def strangers_are_guests() -> None:
    async def guest(callers: Any, request: Any) -> Any:
        found = await callers.identify(request)
        return found if isinstance(found, Admission | Operator) else Admission(identity="guest", rooms=("*",))

    swap(credential_endpoints, "identified", guest)


@breaks("CR-1", test=f"{CREDENTIALS}::test_an_expired_and_a_foreign_token_get_that_401_too")
def a_401_says_what_was_wrong() -> None:
    def told(refusal: Any) -> problem.Problem:
        return problem.Problem(status=401, code=refusal.error, title="no", detail=refusal.reason)

    swap(problem, "problem_of", told)
    from icelane.signaling.http import caller

    swap(caller, "problem_of", told)


@breaks("CR-1", test=f"{CREDENTIALS}::test_a_user_without_the_right_gets_403")
def any_token_gets_credentials() -> None:
    swap(Admission, "covers", lambda self, room: True)
    swap(credential_endpoints, "forbidden", lambda *words: _Nothing())


class _Nothing(Exception):
    pass


@breaks("CR-1", test=f"{COMPATIBILITY}::test_every_shape_is_for_authenticated_callers_alone")
def the_shapes_of_others_are_for_everybody() -> None:
    async def issue(self: Any, request: Any, asked: Any, kind: str) -> Any:
        return self._ice.issue("anybody", 0.0, kind=kind)

    swap(credential_endpoints.CredentialEndpoints, "issue", issue)


@breaks("CR-2", test=f"{CREDENTIALS}::test_answers_are_kept_by_nobody_and_run_as_nothing")
def answers_may_be_cached() -> None:
    headers = {name: value for name, value in endpoint.SECURITY_HEADERS.items() if name != "cache-control"}
    swap(endpoint, "SECURITY_HEADERS", headers)


@breaks("CR-2", "SG-1", test=f"{CREDENTIALS}::test_a_foreign_page_is_refused_before_it_is_known_whose_cookie_it_has")
def every_origin_is_reflected() -> None:
    from tests.signaling.http import asgi

    swap(asgi.FakeCallers, "allows_origin", lambda self, origin: True)


@breaks("SG-1", test=f"{NODE}::test_a_foreign_page_is_refused_before_the_upgrade_and_ours_is_let_in")
def every_page_may_ask() -> None:
    swap(admission_callers.AdmissionCallers, "allows_origin", lambda self, origin: True)
    swap(OriginPolicy, "judge", lambda self, headers: OriginVerdict.ALLOWED)


@breaks("CR-2", test=f"{CREDENTIALS}::test_what_a_form_could_send_is_not_taken")
def forms_are_taken_for_json() -> None:
    async def decode(request: Any, kind: Any) -> Any:
        return kind()

    swap(credential_endpoints, "json_of", decode)


@breaks("CR-3", test=f"{ICE}::test_a_life_is_clamped")
def credentials_live_as_long_as_anybody_likes() -> None:
    swap(ice_servers, "clamped", lambda ttl: int(ttl))


@breaks("CR-3", test=f"{ICE}::test_a_user_gets_no_longer_life_than_his_policy_or_his_admission")
def a_credential_outlives_its_token() -> None:
    issue = ice_servers.IceServers.issue

    def forget(self: Any, user: str, now: Any, **more: Any) -> Any:
        return issue(self, user, now, **(more | {"not_after": None}))

    swap(ice_servers.IceServers, "issue", forget)


@breaks("CR-4", test=f"{CREDENTIALS}::test_too_often_is_429_with_the_wait")
def http_is_not_screened() -> None:
    door = endpoint._Door._within_origin

    async def within(self: Any, request: Any, one: Any, write: Any) -> Any:
        from tests.signaling.http import asgi

        asgi.FakeCallers.passes = lambda self, request: None  # type: ignore[method-assign]
        return await door(self, request, one, write)

    swap(endpoint._Door, "_within_origin", within)


@breaks(
    "CR-4",
    test=(
        f"{NODE}::test_a_user_may_not_ask_without_end",
        f"{CALLERS}::test_whoever_has_a_hook_about_credentials_need_not_say_so_to_the_surface",
    ),
)
def a_user_may_ask_without_end() -> None:
    async def always(self: Any, admission: Any, address: str) -> Any:
        return admission.ice

    swap(admission_callers.AdmissionCallers, "before_ice", always)


@breaks("CR-5", test=f"{ICE}::test_no_user_can_be_another_one_or_live_longer")
def users_stand_in_names_as_they_are() -> None:
    def minted(secret: Any, user: str, ttl: int, unix_time: float) -> tuple[str, str]:
        name = f"{int(unix_time) + ttl}:{secret.kid}:{user}"
        return name, "password"

    swap(ice_servers, "_minted", minted)


@breaks("CR-6", test=f"{ICE}::test_the_first_secret_signs")
def a_credential_shows_its_password() -> None:
    swap(ice_servers.Issued, "__repr__", lambda self: f"Issued({self.password})")


@breaks("CR-6", "SG-7", test=f"{NODE}::test_secrets_are_in_no_record_and_no_answer")
def refusals_repeat_what_was_shown() -> None:
    def told(self: Any, request: Any) -> Any:
        import logging

        logging.getLogger("icelane").warning("asked with %s", dict(request.headers))

    swap(admission_callers.AdmissionCallers, "passes", told)


@breaks("SG-13", test="tests/signaling/http/test_room_endpoints.py::test_rooms_are_ruled_by_operators_alone")
def users_rule_rooms() -> None:
    async def anybody(callers: Any, request: Any) -> Operator:
        return Operator("anybody")

    swap(room_endpoints, "operator_of", anybody)


@breaks("OP-1", "OP-2", test=f"{NODE}::test_a_drain_sends_everybody_away_in_his_own_time_and_calls_go_on")
def signaling_does_not_hear_of_the_drain() -> None:
    swap(node_signaling.Signaling, "begin_drain", lambda self: None)


@breaks("OP-2", test=f"{NODE}::test_an_end_says_goodbye")
def the_end_says_nothing() -> None:
    async def silent(self: Any, within: float = 0.0) -> None:
        return None

    swap(SignalService, "close", silent)


@breaks("OP-12", test=f"{NODE}::test_a_reload_that_cannot_be_changes_nothing")
def signaling_goes_by_what_the_relay_refuses() -> None:
    def prepare(server: Any, companion: Any, config: Any) -> Any:
        del server
        companion.prepare(config)()
        return lambda: None

    swap(serving, "prepare_companion", prepare)


@breaks("OP-12", test=f"{NODE}::test_a_reload_that_cannot_be_leaves_several_processes_as_they_were")
def nobody_asks_the_process_with_signaling() -> None:
    async def consider(self: Any, config: Any, held: Any) -> None:
        del self, config, held

    swap(supervisor.Supervisor, "_consider", consider)
