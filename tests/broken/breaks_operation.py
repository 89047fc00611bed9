"""A server that cannot be watched, or grows old badly."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.server import external_address, metrics
from icelane.server.health import Readiness
from icelane.server.relay_plane import RelayPlane
from icelane.signaling.refusals import Refusals
from icelane.turn.refusal import RequestRefused
from icelane.turn.relay_ports import RelayPorts
from icelane.turn.routes import ReleaseRelayPort
from tests.broken.registry import breaks, swap

SOAK = "tests/server/test_soak.py"
METRICS = "tests/server/test_metrics.py"
FIGURES = "tests/node/test_figures.py"
MONITORING = "tests/server/test_monitoring.py"
EXTERNAL = "tests/server/test_external_address.py"


@breaks("OP-8", test=f"{SOAK}::test_clients_that_come_and_go_leave_nothing_behind[uvloop-seconds]")
def the_plane_remembers_one_client_in_ten() -> None:
    release = RelayPlane.release
    kept: list[object] = []

    def forgetful(self: RelayPlane, command: ReleaseRelayPort) -> object:
        client = release(self, command)
        if client is not None and len(kept) % 10 == 0:
            self._clients_by_path[client.path] = client
        kept.append(client)
        return client

    swap(RelayPlane, "release", forgetful)


@breaks("OP-14", test=f"{METRICS}::test_a_hostile_crowd_changes_figures_and_adds_no_series_that_is_not_documented")
def a_label_names_the_user() -> None:
    def count(self: metrics.ServerMetrics, event: RequestRefused) -> None:
        self._refusals[event.code, event.username] += 1

    swap(metrics.ServerMetrics, "_count_refusal", count)


@breaks("OP-14", test=f"{METRICS}::test_reasons_that_nobody_wrote_down_cannot_make_the_page_grow")
def any_number_of_reasons_is_told_apart() -> None:
    swap(metrics, "MAX_REASONS", 1 << 60)


@breaks("OP-14", test=f"{FIGURES}::test_a_hostile_crowd_adds_no_series")
def a_label_repeats_what_a_hook_said() -> None:
    def count(self: Refusals, word: str) -> None:
        self.counts[word] += 1

    swap(Refusals, "count", count)


@breaks("OP-14", test=f"{MONITORING}::test_readiness_follows_load_and_liveness_does_not")
def a_full_server_is_ready() -> None:
    swap(Readiness, "ok", property(lambda self: True))


@breaks("TR-1", test=f"{EXTERNAL}::test_an_address_that_clients_could_not_use_is_not_taken")
def whatever_a_stun_server_answers_is_our_address() -> None:
    swap(external_address, "_checked", lambda local, external: external)


@breaks("TR-1", test=f"{EXTERNAL}::test_new_allocations_are_told_the_new_address_and_old_ones_live_on")
def a_new_address_is_not_followed() -> None:
    swap(RelayPorts, "set_external_addresses", lambda self, found: self.__dict__.setdefault("_external", dict(found)))
