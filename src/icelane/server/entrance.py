"""What the listeners of one server share: certificates, limits on connections, deadlines, the log of connections."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path as File
from typing import TYPE_CHECKING

from icelane.aio.tcp import bind_tcp
from icelane.aio.udp import Reader, bind_udp
from icelane.core.clock import Instant, WallClock
from icelane.core.net import Path, Transport
from icelane.server.config import Config
from icelane.server.config.values import Listener as ListenSetting
from icelane.server.config.values import WebListener
from icelane.server.connection_limit import ConnectionLimit
from icelane.server.connection_log import ConnectionLog
from icelane.server.held_files import tls_files
from icelane.server.listeners import Listener, Receiver, UdpListener
from icelane.server.public_url import public_url, serves_in_clear
from icelane.server.stream_listener import StreamDeadlines, StreamListener
from icelane.server.tls import PemPair, ServerTls
from icelane.turn.address_range import parse_address_range
from icelane.turn.quota import Tally

if TYPE_CHECKING:
    from icelane.server.http_server import HttpServer


class Entrance:
    """Opens listeners. `receive` takes what no route covers, `closed` is told of connections that have ended."""

    def __init__(
        self,
        config: Config,
        *,
        receive: Receiver,
        closed: Callable[[Path], None],
        on_drained: Callable[[], None],
        on_incident: Callable[[], None],
        wall_clock: WallClock,
        deadlines: StreamDeadlines | None = None,
        reader: Reader | None = None,
        tally: Tally | None = None,
        certificate: PemPair | None = None,
    ) -> None:
        """`on_drained` is called behind the last of the datagrams that one wake gives to `receive`.

        `on_incident` is called when the log has something that it will want to flush.

        `reader` reads the UDP sockets, where the loop is not to; `tally` counts connections, where others count too;
        `certificate` is what others have read from the files of TLS.
        """
        quota = config.turn.quota
        self.limit = ConnectionLimit(
            total=quota.connections_total, per_source=quota.connections_per_source, tally=tally
        )
        self.tls: ServerTls | None = None
        self._pair = certificate
        self._config = config
        self._receive = receive
        self._closed = closed
        self._on_drained = on_drained
        self._wall_clock = wall_clock
        self._deadlines = deadlines or StreamDeadlines()
        self._reader = reader
        self._proxies = tuple(map(parse_address_range, config.turn.proxy_protocol_from))
        self._log = ConnectionLog(on_incident)

    def open(self, setting: ListenSetting, bound: socket.socket | None = None) -> Listener:
        """Listen there, on a socket that is `bound` already or on a new one.

        Raises OSError when the address cannot be bound, ConfigurationError for a bad certificate.
        """
        if setting.transport is Transport.UDP:
            return UdpListener(bound or bind_udp(setting.address), self._receive, self._reader, self._on_drained)
        tls = self._certificate() if setting.transport is Transport.TLS else None
        listener = StreamListener(
            bound or bind_tcp(setting.address),
            self._receive,
            self._closed,
            limit=self.limit,
            log=self._log,
            tls=tls,
            proxies=self._proxies,
            deadlines=self._deadlines,
        )
        listener.start()
        return listener

    def open_web(self, setting: WebListener, http: HttpServer, bound: socket.socket | None = None) -> StreamListener:
        """Listen there for HTTP, and with TLS for TURN. Raises as `open` does."""
        from icelane.server.shared_port import SharedPort

        clear = setting.secure or serves_in_clear(self._config, setting)
        transport = setting.turn.transport
        listener = StreamListener(
            bound or bind_tcp(setting.address),
            self._receive,
            self._closed,
            limit=self.limit,
            log=self._log,
            tls=self._certificate().http if setting.secure else None,
            proxies=self._proxies,
            deadlines=self._deadlines,
            shared=SharedPort(
                http,
                transport,
                log=self._log,
                first_byte=self._deadlines.first_message,
                redirect=None if clear else public_url(self._config),
            ),
        )
        listener.start()
        return listener

    def reload_certificates(self, certificate: File | None = None, key: File | None = None) -> bool:
        """Read the certificate again, from other files if they are given; False when the old one had to be kept."""
        return self.tls is None or self.tls.reload(certificate, key)

    def take_certificate(self, pair: PemPair | None) -> bool:
        """Go by what somebody else has read from the files; False when that cannot be."""
        return self.tls is None or pair is None or self.tls.take(pair)

    def flush(self, now: Instant) -> None:
        """Write the counts of incidents that were left out and are due."""
        self._log.flush(now)

    @property
    def waiting(self) -> bool:
        """Whether `flush` may have something to write later."""
        return len(self._log) > 0

    def _certificate(self) -> ServerTls:
        if self.tls is None:
            files = tls_files(self._config)
            assert files is not None, "a listener with TLS stands in the configuration"
            self.tls = ServerTls(*files, self._wall_clock, held=self._pair)
        return self.tls
