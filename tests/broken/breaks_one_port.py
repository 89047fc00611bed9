"""A port that HTTPS, WebSocket and TURN share: who is let in, how long it may take, what is written down."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import uvicorn

from icelane.server import (
    entrance,
    http_connection,
    http_gate,
    http_server,
    http_websocket,
    shared_port,
    tls,
    turn_server,
)
from icelane.server.config import resolution
from icelane.signaling.admission import forwarded, hook
from tests.broken.registry import breaks, swap

PORT = "tests/server/test_shared_port.py"


@breaks("SG-17", test=f"{PORT}::test_plain_http_is_sent_to_https_whatever_it_says_in_host")
def plain_http_is_served_everywhere() -> None:
    swap(entrance, "public_url", lambda config: None)


@breaks("SG-17", test=f"{PORT}::test_signaling_in_clear_needs_a_setting_that_says_so")
def signaling_in_clear_needs_no_setting() -> None:
    swap(resolution, "_check_clear", lambda server, report: None)


@breaks("SG-17", test=f"{PORT}::test_browsers_are_told_to_stay_with_https")
def browsers_are_told_nothing_about_https() -> None:
    swap(http_gate, "_with_hsts", lambda send, hsts: send)


@breaks("TL-6", test=f"{PORT}::test_alpn_decides_whatever_comes_then")
def the_first_byte_decides_against_alpn() -> None:
    swap(shared_port.Doorway, "_by_name", lambda self, transport: None)


@breaks("TL-6", test=f"{PORT}::test_a_listener_of_turn_alone_agrees_on_no_http")
def every_listener_agrees_on_http() -> None:
    made = tls.server_context
    swap(tls, "server_context", lambda protocols=(): made(tls.HTTP_ALPN_PROTOCOLS))


@breaks("SG-11", test=f"{PORT}::test_a_request_that_does_not_come_ends_the_connection")
def a_request_head_may_take_for_ever() -> None:
    swap(http_connection.HttpConnection, "_expect_head", lambda self: None)


@breaks("SG-11", test=f"{PORT}::test_a_second_request_that_does_not_come_ends_the_connection_too")
def only_the_first_request_is_awaited() -> None:
    init = http_connection.HttpConnection.end_request

    def end(self: http_connection.HttpConnection) -> None:
        init(self)
        self._requests += 1

    swap(http_connection.HttpConnection, "end_request", end)


@breaks("SG-11", test=f"{PORT}::test_connections_of_one_source_are_bounded_before_anybody_asks_who_it_is")
def places_of_http_connections_never_come_back() -> None:
    forget = http_server.HttpServer.connection

    def connection(
        self: http_server.HttpServer, client: object, *, closed: object, slow: object, redirect: object = None
    ) -> object:
        return forget(self, client, closed=lambda _: None, slow=slow, redirect=redirect)  # type: ignore[arg-type]

    swap(http_server.HttpServer, "connection", connection)


@breaks("SG-8", test=f"{PORT}::test_a_frame_above_the_limit_is_closed_with_1009")
def frames_are_as_long_as_anybody_likes() -> None:
    load = uvicorn.Config.load

    def load_without_limit(self: uvicorn.Config) -> None:
        self.ws_max_size = 1 << 24
        load(self)

    swap(uvicorn.Config, "load", load_without_limit)


@breaks("SG-9", "CR-7", test=f"{PORT}::test_an_upgrade_that_is_not_taken_is_answered")
def heads_of_websockets_are_not_looked_at() -> None:
    swap(http_gate, "_has_body", lambda scope: False)
    swap(http_websocket.BoundedWebSocket, "_refuse", lambda self, status: None)


@breaks("SG-5", test="tests/signaling/admission/test_forwarded.py::test_trusting_everybody_stops_the_start")
def everybody_in_several_parts_may_be_a_proxy() -> None:
    swap(forwarded, "trusts_too_many", lambda ranges: any(one.first == 0 and one.last >> 31 for one in ranges))


@breaks("SG-5", test=f"{PORT}::test_an_upgrade_may_have_long_headers")
def the_parser_of_the_handshake_sees_every_header() -> None:
    swap(http_websocket, "_is_of_the_handshake", lambda name: True)


@breaks("SG-14", test=f"{PORT}::test_a_flood_of_frames_that_carry_nothing_ends_the_connection")
def frames_that_carry_nothing_cost_nothing() -> None:
    swap(http_websocket.BoundedWebSocket, "_counts", lambda self: True)


@breaks("SG-7", test="tests/server/test_admission_config.py::test_a_webhook_in_clear_needs_a_setting_that_says_so")
def webhooks_in_clear_need_no_setting() -> None:
    swap(resolution, "_check_hooks", lambda hooks, report: None)


@breaks("SG-7", test=f"{PORT}::test_targets_and_frames_of_clients_are_in_no_log")
def uvicorn_logs_what_it_likes() -> None:
    swap(http_server, "UVICORN_LOG_LEVEL", "info")


@breaks("SG-7", "CR-6", test=f"{PORT}::test_an_application_that_raises_is_a_500_and_its_text_stays_here")
def exceptions_are_logged_with_their_text() -> None:
    swap(http_gate, "frames_of", lambda error, most: [str(error)])


@breaks("OP-1", test=f"{PORT}::test_while_it_drains_health_is_told_and_everything_else_refused")
def http_does_not_hear_of_the_drain() -> None:
    swap(http_server.HttpServer, "begin_drain", lambda self: None)


@breaks("OP-1", test=f"{PORT}::test_a_server_closes_though_a_request_hangs")
def the_end_waits_for_every_request() -> None:
    async def wait(self: http_server.HttpServer) -> None:
        await self._all_gone.wait()

    swap(http_server.HttpServer, "_wait_for_connections", wait)


@breaks("OP-4", test=f"{PORT}::test_a_new_certificate_counts_for_https_websocket_and_turn")
def https_keeps_the_old_certificate() -> None:
    def hand_over(self: tls.ServerTls, connection: object, name: str | None, *, http: bool) -> None:
        context = self.__dict__.setdefault("_first", self.certificate.http_context)
        connection.context = context  # type: ignore[attr-defined]

    swap(tls.ServerTls, "_hand_over", hand_over)


@breaks("SG-5", test=f"{PORT}::test_what_the_bytes_say_of_the_client_is_not_believed")
def uvicorn_believes_forwarding_headers() -> None:
    load = uvicorn.Config.load

    def load_with_proxies(self: uvicorn.Config) -> None:
        self.proxy_headers = True
        self.forwarded_allow_ips = "*"
        load(self)

    swap(uvicorn.Config, "load", load_with_proxies)


@breaks("TR-5", test="tests/server/test_shared_port.py::test_no_client_reaches_the_https_port_through_the_relay")
def the_https_port_may_be_reached_through_the_relay() -> None:
    bound = turn_server.TurnServer._bound

    def without_web(self: turn_server.TurnServer) -> set[object]:
        return {one for one in bound(self) if one not in {listener.local for listener in self._web_listeners}}

    swap(turn_server.TurnServer, "_bound", without_web)


@breaks("SG-3", test="tests/signaling/admission/test_hook.py::test_a_few_addresses_cannot_close_a_hook_for_all")
def a_few_addresses_may_close_the_hook() -> None:
    swap(hook, "BREAKER_TRIALS", 0)
