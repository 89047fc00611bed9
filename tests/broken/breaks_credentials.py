"""Credentials that open too much, or to too many."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import re

from icelane.core.clock import UnixSeconds
from icelane.turn import credentials
from icelane.turn.authentication import Authenticator
from icelane.turn.credentials import Credential, Refusal, RestCredentials, Secret
from icelane.turn.throttle import FailureThrottle
from tests.broken.registry import breaks, swap

TESTS = "tests/turn/test_credentials.py"
ENGINE = "tests/turn/test_server_credentials.py"


@breaks("TA-8", test=f"{TESTS}::test_an_expiry_is_one_to_twelve_ascii_digits")
def an_expiry_is_whatever_int_reads() -> None:
    swap(credentials, "_REST_USERNAME", re.compile(r"([-+\s\d_]+):(.+)", re.DOTALL))


@breaks("TA-9", test=f"{TESTS}::test_an_ephemeral_name_is_good_until_its_expiry")
def an_expiry_is_never_over() -> None:
    find = RestCredentials.find

    def find_early(self: RestCredentials, username: str, realm: str, unix_time: UnixSeconds) -> Credential | Refusal:
        return find(self, username, realm, UnixSeconds(0.0))

    swap(RestCredentials, "find", find_early)


@breaks("TA-11", test=f"{TESTS}::test_a_weak_or_published_secret_stops_the_start")
def any_secret_will_do() -> None:
    swap(credentials, "MIN_SECRET_BYTES", 0)


@breaks("TA-11", test=f"{TESTS}::test_a_weak_or_published_secret_stops_the_start")
def secrets_out_of_manuals_will_do() -> None:
    swap(credentials, "_PUBLISHED_SECRETS", frozenset())


@breaks("TA-11", test=f"{TESTS}::test_a_secret_that_was_taken_out_opens_nothing")
def a_secret_outlives_its_removal() -> None:
    kept: dict[str, Secret] = {}
    init = RestCredentials.__init__

    def remember(self: RestCredentials, secrets: tuple[Secret, ...], leeway: float = 0.0) -> None:
        kept.update({secret.kid: secret for secret in secrets})
        init(self, list(kept.values()), leeway)

    swap(RestCredentials, "__init__", remember)


@breaks("TA-11", test=f"{TESTS}::test_without_a_known_kid_every_secret_is_tried")
def only_the_newest_secret_is_tried() -> None:
    init = RestCredentials.__init__
    swap(RestCredentials, "__init__", lambda self, secrets, leeway=0.0: init(self, secrets[:1], leeway))


@breaks("TA-12", test="tests/turn/test_throttle.py::test_one_source_has_a_few_wrong_passwords_and_then_one_per_second")
def every_password_is_checked() -> None:
    swap(FailureThrottle, "admits", lambda self, host, user, now: True)
    swap(FailureThrottle, "admits_source", lambda self, host, now: True)


@breaks("TA-12", test="tests/turn/test_throttle.py::test_the_user_still_gets_in_from_elsewhere")
def a_user_under_attack_is_locked_out() -> None:
    swap(FailureThrottle, "admits", lambda self, host, user, now: not self._users.full(user.encode(), now))


@breaks("TA-12", test=f"{ENGINE}::test_guessing_does_not_tell_which_names_exist[1-name]")
def names_that_nobody_has_are_not_counted() -> None:
    swap(Authenticator, "_refuse_stranger", lambda self, refusal, claim, host, now: refusal)


@breaks("TA-12", test=f"{ENGINE}::test_a_source_that_guessed_too_often_is_told_nothing_about_any_name[1000000000:u]")
def a_name_is_looked_up_before_the_source_is_asked() -> None:
    swap(FailureThrottle, "admits_source", lambda self, host, now: True)


@breaks("CR-5", test=f"{TESTS}::test_no_user_can_be_minted_a_name_that_reads_as_anothers")
def a_minted_user_is_not_encoded() -> None:
    swap(credentials, "quote", lambda user, safe: user)


@breaks("CR-6", test=f"{TESTS}::test_nothing_shows_a_secret_a_password_or_a_key")
def a_secret_shows_in_its_repr() -> None:
    swap(Secret, "__repr__", lambda self: f"Secret({self.secret})")
