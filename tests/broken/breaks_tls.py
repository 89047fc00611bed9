"""TCP and TLS that believe, wait and count too little, or too much."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from icelane.aio import client_tls
from icelane.errors import ConfigurationError
from icelane.server import stream_listener, tls
from icelane.server.connection_limit import ConnectionLimit
from icelane.server.stream_listener import StreamListener
from icelane.server.tls import ServerTls
from icelane.turn import channel_data
from icelane.turn.channel_data import measure_turn
from tests.broken.registry import breaks, swap

LISTENER = "tests/server/test_stream_listener.py"
SERVER = "tests/server/test_tls.py"
CLIENT = "tests/aio/test_client_tls.py"
TUNNEL = "tests/aio/test_proxy_tunnel.py"
PROXY = "tests/aio/test_turn_through_a_proxy.py"


@breaks(
    "TL-1",
    test=(
        f"{LISTENER}::test_a_client_that_sends_nothing_is_closed_and_others_are_served[asyncio-TCP]",
        f"{LISTENER}::test_who_asks_and_never_allocates_is_closed[asyncio-TLS]",
        f"{LISTENER}::test_a_message_that_never_ends_is_no_message[asyncio-TCP]",
    ),
)
def a_client_may_take_its_time() -> None:
    swap(StreamListener, "_expect", lambda self, connection, within, reason: None)


@breaks("TL-1", test=f"{LISTENER}::test_a_handshake_that_trickles_in_is_given_up[asyncio]")
def a_handshake_may_take_its_time() -> None:
    init = stream_listener.StreamDeadlines.__init__

    def patient(self: stream_listener.StreamDeadlines, **deadlines: float) -> None:
        init(self, **(deadlines | {"handshake": 600.0}))

    swap(stream_listener.StreamDeadlines, "__init__", patient)


@breaks("TL-2", test=f"{LISTENER}::test_one_source_cannot_take_every_connection[asyncio-TCP]")
def one_source_may_take_everything() -> None:
    swap(ConnectionLimit, "enter", lambda self, host: True)
    swap(ConnectionLimit, "leave", lambda self, host: None)


@breaks("TL-2", test=f"{LISTENER}::test_a_source_is_an_ipv4_address_or_an_ipv6_network")
def every_ipv6_address_has_connections_of_its_own() -> None:
    from icelane.server import connection_limit

    swap(connection_limit, "source_of", lambda host: host)


@breaks("TL-3", test=f"{LISTENER}::test_a_tls_stream_may_be_cut_anywhere[asyncio]")
def padding_is_part_of_the_next_message() -> None:
    def without_padding(buffer: bytes | bytearray, start: int, available: int) -> int | None:
        if buffer[start] & 0xC0 != 0x40 or available < 4:
            return measure_turn(buffer, start, available)
        return 4 + (buffer[start + 2] << 8 | buffer[start + 3])

    swap(channel_data, "measure_turn", without_padding)


@breaks("TL-4", test=f"{SERVER}::test_only_modern_versions_and_ciphers_are_accepted[asyncio]")
def any_cipher_will_do() -> None:
    swap(tls, "_TLS12_CIPHERS", "ALL:!aNULL:@SECLEVEL=0")


@breaks("TL-4", test=f"{SERVER}::test_there_are_no_tickets_no_compression_and_no_early_data[asyncio-1.2]")
def tickets_are_handed_out() -> None:
    swap(tls, "_OPTIONS", ssl.OP_NO_COMPRESSION)


@breaks("TL-4", test=f"{SERVER}::test_renegotiation_is_refused[asyncio]")
def clients_may_renegotiate() -> None:
    swap(tls, "_OPTIONS", ssl.OP_NO_TICKET | getattr(ssl, "OP_ALLOW_CLIENT_RENEGOTIATION", 1 << 8))


@breaks(
    "TL-5",
    test=(
        f"{CLIENT}::test_any_other_certificate_is_refused_before_a_request_is_sent[asyncio-another name]",
        f"{CLIENT}::test_the_name_that_counts_is_the_one_in_the_uri[asyncio]",
        f"{TUNNEL}::test_a_proxy_over_tls_is_verified_by_its_own_name_before_it_is_told_anything[asyncio]",
        f"{PROXY}::test_the_certificate_behind_the_proxy_is_verified_by_the_name_of_the_server[asyncio]",
    ),
)
def any_name_will_do() -> None:
    def careless(authority: Path | str | None = None, **more: Sequence[str]) -> ssl.SSLContext:
        context = genuine(authority, **more)
        context.check_hostname = False
        return context

    genuine = client_tls.client_context
    swap(client_tls, "client_context", careless)


@breaks("TL-5", test=f"{CLIENT}::test_any_other_certificate_is_refused_before_a_request_is_sent[asyncio-expired]")
def any_certificate_will_do() -> None:
    def careless(authority: Path | str | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    swap(client_tls, "client_context", careless)


@breaks("TL-5", test=f"{CLIENT}::test_no_environment_variable_changes_whom_we_believe[asyncio]")
def the_environment_says_whom_to_believe() -> None:
    swap(client_tls, "_trust_this_machine", lambda context: context.load_default_certs())


@breaks("TL-6", test=f"{LISTENER}::test_what_is_no_stun_is_closed_at_once_and_no_exception_is_logged[asyncio-GET-TCP]")
def http_is_taken_for_channel_data() -> None:
    swap(stream_listener, "measure_stun", measure_turn)


@breaks("TL-6", test=f"{LISTENER}::test_nobody_else_is_believed[asyncio-TCP]")
def every_proxy_is_believed() -> None:
    swap(StreamListener, "_is_proxy", lambda self, source: True)


@breaks("TL-7", test=f"{SERVER}::test_a_failing_choice_of_certificate_fails_the_handshake[asyncio]")
def a_failing_callback_lets_the_handshake_go_on() -> None:
    def lenient(self: ServerTls, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._live.context

    swap(ServerTls, "_choose", lenient)


@breaks(
    "OP-4",
    test=f"{SERVER}::test_handshakes_succeed_while_certificates_change[asyncio]",
)
def a_reload_changes_the_live_context() -> None:
    def reload(self: ServerTls, certificate: Path | None = None, key: Path | None = None) -> bool:
        try:
            self._live.context.load_cert_chain(*self._paths)
        except ssl.SSLError:
            return False
        return True

    swap(ServerTls, "reload", reload)


@breaks("OP-4", test=f"{SERVER}::test_a_broken_pair_keeps_the_old_one_and_raises_an_alarm[another key]")
def a_bad_pair_is_not_reported() -> None:
    genuine = ServerTls.reload

    def silent(self: ServerTls, certificate: Path | None = None, key: Path | None = None) -> bool:
        try:
            tls.load_certificate(certificate or self._paths[0], key or self._paths[1])
        except ConfigurationError:
            return False
        return genuine(self, certificate, key)

    swap(ServerTls, "reload", silent)
