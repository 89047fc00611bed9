"""All data channels of one SCTP association (RFC 8831, RFC 8832).

    channels = DataChannels(association)
    chat = channels.open("chat", now)          # before there is a connection, if you like
    channels.set_role(is_dtls_client, now)
    channels.connect(now)
    ...
    channels.send(chat, "hello", now)          # after ChannelOpened
    channels.close_channel(chat, now)          # what was sent arrives first

A channel that we create is used as soon as its DATA_CHANNEL_OPEN has been queued, without waiting for the answer; until
the peer has been heard on it, everything is sent in order, so that nothing overtakes the OPEN (RFC 8832 section 6).

Closing is symmetric (RFC 8831 section 6.7): each end resets its side of the stream, and when both are reset the stream
may be used again. That holds for streams on which only the peer has a channel, too. A peer that breaks a rule about a
channel loses that channel and gets no ACK.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, assert_never

from icelane.core.clock import Instant
from icelane.datachannel.channel import Channel, ChannelState
from icelane.datachannel.dcep import (
    AckMessage,
    OpenMessage,
    PayloadProtocol,
    encode_ack,
    encode_open,
    encode_text,
    parse_dcep,
)
from icelane.datachannel.event import (
    NO_CHANNEL,
    BufferedAmountLow,
    ChannelAnnounced,
    ChannelClosed,
    ChannelClosing,
    ChannelEvent,
    ChannelId,
    ChannelOpened,
    MessageReceived,
)
from icelane.errors import (
    IcelaneError,
    InvalidAccessError,
    InvalidStateError,
    LocalProtocolError,
    MalformedError,
    OperationError,
    RemoteProtocolError,
)
from icelane.sctp import event as sctp
from icelane.sctp.association import SctpAssociation

# How many channels a peer may have open; the OPEN of one more is answered by closing it.
MAX_ANNOUNCED: Final = 1024
HIGHEST_STREAM_ID: Final = 65_534

_DCEP: Final = int(PayloadProtocol.DCEP)
_STRING: Final = int(PayloadProtocol.STRING)
_BINARY: Final = int(PayloadProtocol.BINARY)
_STRING_EMPTY: Final = int(PayloadProtocol.STRING_EMPTY)
_BINARY_EMPTY: Final = int(PayloadProtocol.BINARY_EMPTY)


class DataChannels:
    """Channels over `association`, which is ours from now on.

    `is_dtls_client` decides who takes even stream ids (RFC 8832 section 6); None until `set_role`.
    """

    def __init__(
        self, association: SctpAssociation, *, is_dtls_client: bool | None = None, after: ChannelId = NO_CHANNEL
    ) -> None:
        """`after` is the last number of an earlier association, whose channels somebody may still name."""
        self._association = association
        self._is_dtls_client = is_dtls_client
        self._established = False
        self._over = False
        self._events: deque[ChannelEvent] = deque()
        self._channels: dict[ChannelId, Channel] = {}
        self._channels_by_stream: dict[int, Channel] = {}
        # Of streams without a channel, so at most one for each stream: where our side is being reset; and where the
        # reset of the peer's that answers ours is still to come, which must not be answered once more.
        self._resetting: set[int] = set()
        self._awaited: set[int] = set()
        self._announced = 0
        self._last_number = after
        self._first_number = after + 1
        self._next_stream = 0

    # Inputs

    def handle_datagram(self, data: bytes, now: Instant) -> None:
        """DTLS carried `data` here."""
        self._association.handle_datagram(data, now)
        self._settle(now)

    def handle_batch(self, batch: Iterable[bytes], now: Instant) -> None:
        """DTLS carried all of these here at once: one acknowledgement answers them."""
        association = self._association
        association.begin_batch()
        for data in batch:
            association.handle_datagram(data, now)
        association.end_batch(now)
        self._settle(now)

    def handle_timeout(self, now: Instant) -> None:
        """A deadline passed."""
        self._association.handle_timeout(now)
        self._settle(now)

    # Commands

    def set_role(self, is_dtls_client: bool, now: Instant) -> None:
        """The DTLS role is known, and with it whose stream ids are even."""
        self._is_dtls_client = is_dtls_client
        self._settle(now)

    def set_remote(self, port: int, max_message_size: int) -> None:
        """What the peer's session description says of SCTP; a size of 0 is no limit."""
        self._association.set_remote_port(port)
        self._association.set_max_message_size(max_message_size)

    def connect(self, now: Instant) -> None:
        """DTLS is there: begin the association."""
        self._association.connect(now)
        self._settle(now)

    def open(
        self,
        label: str,
        now: Instant,
        *,
        protocol: str = "",
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: int | None = None,
        negotiated: bool = False,
        stream_id: int | None = None,
    ) -> ChannelId:
        """Create a channel; ChannelOpened follows when it can be used. `max_packet_life_time` is in milliseconds.

        With `negotiated` nothing is said to the peer, who has to do the same with the same `stream_id`; without, the
        stream id is chosen here. Raises InvalidAccessError for what cannot be, InvalidStateError after the end,
        OperationError when the stream id is in use or none is left.
        """
        if self._over:
            raise InvalidStateError("the association has ended")
        asked = OpenMessage(label, protocol, ordered, max_retransmits, max_packet_life_time)
        encode_open(asked)
        if negotiated and (stream_id is None or not 0 <= stream_id <= HIGHEST_STREAM_ID):
            raise InvalidAccessError(f"a negotiated channel has a stream id from 0 to {HIGHEST_STREAM_ID}")
        channel = Channel(self._number(), asked, negotiated)
        if negotiated and stream_id is not None:
            if stream_id in self._channels_by_stream:
                raise OperationError(f"stream {stream_id} is in use")
            self._assign(channel, stream_id)
        self._channels[channel.number] = channel
        try:
            self._settle_channel(channel, now)
        except (OperationError, LocalProtocolError):
            self._forget(channel)
            raise
        return channel.number

    def send(self, channel: ChannelId, data: str | bytes | bytearray | memoryview, now: Instant) -> None:
        """Queue a message.

        Raises InvalidStateError unless the channel is open, MessageTooLargeError beyond what the peer takes, and
        OperationError when too much is waiting already.
        """
        found = self._channels.get(channel)
        if found is None or found.state is not ChannelState.OPEN:
            raise InvalidStateError("the channel is not open")
        if isinstance(data, str):
            payload = encode_text(data)
            ppid = _STRING if payload else _STRING_EMPTY
        else:
            payload = bytes(data)
            ppid = _BINARY if payload else _BINARY_EMPTY
        self._association.send(
            found.sending_on,
            ppid,
            payload or b"\0",  # RFC 8831 section 6.6: SCTP carries no empty messages
            now,
            ordered=found.ordered or not found.heard,
            max_retransmissions=found.max_retransmits,
            lifetime=found.lifetime,
        )
        found.used = True

    def close_channel(self, channel: ChannelId, now: Instant) -> None:
        """Deliver what was sent on the channel, then close it; ChannelClosed follows. Idempotent."""
        found = self._channels.get(channel)
        if found is not None:
            self._begin_closing(found, now)

    def release(self, channel: ChannelId, size: int, now: Instant) -> None:
        """The application is done with a message of `size` bytes, of a channel that may be gone by now."""
        if channel >= self._first_number:  # the window is one for all channels of this association
            self._association.release(size or 1, now)

    def set_low_threshold(self, channel: ChannelId, amount: int) -> None:
        """Tell by BufferedAmountLow when no more than `amount` bytes of the channel wait any longer."""
        found = self._channels.get(channel)
        if found is not None:
            found.low_threshold = amount
            if found.stream_id is not None:
                self._association.set_low_threshold(found.stream_id, amount)

    def close(self, now: Instant) -> None:
        """End the association in good order; all that was sent arrives first. Every channel is closed then."""
        for found in self._channels.values():
            if found.state is ChannelState.OPEN:
                found.state = ChannelState.CLOSING
        self._association.close(now)
        self._settle(now)

    def abort(self, now: Instant, error: IcelaneError | None = None) -> None:
        """End at once: every channel is closed with `error`, and what is under way is lost."""
        self._finish_all(error)
        self._association.abort("", now)
        self._settle(now)

    # Outputs

    def poll_transmit(self) -> bytes | None:
        """The next packet for DTLS, or None."""
        return self._association.poll_transmit()

    def poll_event(self) -> ChannelEvent | None:
        """What happened next, or None."""
        if not self._events:
            self._take_low_amounts()
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> Instant | None:
        """When to be called again, or None."""
        return self._association.next_timeout()

    # What it looks like

    @property
    def association(self) -> SctpAssociation:
        """For its state and statistics."""
        return self._association

    @property
    def last_number(self) -> ChannelId:
        """The number of the channel that came last, of an earlier association where this has had none."""
        return self._last_number

    @property
    def is_over(self) -> bool:
        """Whether the association has ended."""
        return self._over

    @property
    def is_established(self) -> bool:
        """Whether the association stands."""
        return self._established and not self._over

    def buffered_amount(self, channel: ChannelId) -> int:
        """The bytes that were sent on the channel and have not left yet; 0 once it is gone."""
        found = self._channels.get(channel)
        if found is None or found.stream_id is None:
            return 0
        return self._association.buffered_amount(found.stream_id)

    def stream_id(self, channel: ChannelId) -> int | None:
        """The channel's stream; None before there is one, and once it is gone."""
        found = self._channels.get(channel)
        return None if found is None else found.stream_id

    def __len__(self) -> int:
        """How many channels there are."""
        return len(self._channels)

    # Opening

    def _number(self) -> ChannelId:
        self._last_number = ChannelId(self._last_number + 1)
        return self._last_number

    def _settle_channel(self, channel: Channel, now: Instant) -> None:
        """Give the channel a stream and open it, once that is possible. Raises OperationError when none is left."""
        if channel.state is not ChannelState.CONNECTING:
            return
        if channel.stream_id is None and self._established and self._is_dtls_client is not None:
            self._assign(channel, self._free_stream(self._is_dtls_client))
        if channel.stream_id is None or not self._established or channel.stream_id in self._resetting:
            return
        if channel.stream_id >= self._association.streams:
            raise OperationError(f"the peer has {self._association.streams} streams, not {channel.stream_id}")
        if not channel.negotiated:
            self._association.send(channel.stream_id, _DCEP, encode_open(channel.asked), now)
        channel.state = ChannelState.OPEN
        self._events.append(ChannelOpened(channel.number, channel.stream_id))

    def _assign(self, channel: Channel, stream_id: int) -> None:
        channel.stream_id = stream_id
        self._channels_by_stream[stream_id] = channel
        self._awaited.discard(stream_id)
        self._association.set_low_threshold(stream_id, channel.low_threshold)

    def _free_stream(self, even: bool) -> int:
        """The next one behind the last, not the lowest: the peer may not yet know that a stream is free again."""
        ours = range(0 if even else 1, min(self._association.streams, HIGHEST_STREAM_ID + 1), 2)
        for i in range(len(ours)):
            stream_id = ours[(self._next_stream + i) % len(ours)]
            if stream_id not in self._channels_by_stream:
                self._next_stream += i + 1
                return stream_id
        raise OperationError("no stream is left for another channel")

    def _open_all(self, now: Instant) -> None:
        for channel in list(self._channels.values()):
            try:
                self._settle_channel(channel, now)
            except (OperationError, LocalProtocolError) as error:
                self._finish(channel, error)

    # What the association tells

    def _settle(self, now: Instant) -> None:
        """React to what the association has to tell."""
        association = self._association
        while (event := association.poll_event()) is not None:
            match event:
                case sctp.MessageReceived():
                    self._handle_message(event, now)
                case sctp.Established():
                    self._established = True
                    # At once: what came with it may be for one of them, and whoever reads that may answer.
                    if not self._over:
                        self._open_all(now)
                case sctp.StreamsReset(stream_ids):
                    self._handle_reset(stream_ids or tuple(self._channels_by_stream), now)
                case sctp.ResetCompleted(stream_ids):
                    self._handle_completed(stream_ids)
                case sctp.ResetRefused(stream_ids):
                    self._handle_refused(stream_ids)
                case sctp.BufferedAmountLow(stream_id):
                    self._handle_low_amount(stream_id)
                case sctp.Terminated(error):
                    self._finish_all(error)
                case _:
                    assert_never(event)
        if self._established and not self._over:
            self._open_all(now)

    def _handle_message(self, message: sctp.MessageReceived, now: Instant) -> None:
        channel = self._channels_by_stream.get(message.stream_id)
        ppid = message.ppid
        if ppid == _DCEP:
            self._association.release(len(message.data), now)
            self._handle_dcep(message, channel, now)
        elif channel is None:
            # Of a channel that is agreed on and not created here yet, or already closed: nobody can read it.
            self._association.release(len(message.data), now)
        elif ppid in (_BINARY, _STRING):
            channel.heard = True
            self._events.append(MessageReceived(channel.number, message.data, ppid == _STRING))
        elif ppid in (_STRING_EMPTY, _BINARY_EMPTY):
            channel.heard = True
            self._association.release(len(message.data) - 1, now, messages=0)  # the last byte goes with the message
            self._events.append(MessageReceived(channel.number, b"", ppid == _STRING_EMPTY))
        else:
            self._association.release(len(message.data), now)
            self._refuse(message.stream_id, f"payload protocol {ppid}", now)

    def _handle_dcep(self, message: sctp.MessageReceived, channel: Channel | None, now: Instant) -> None:
        stream_id = message.stream_id
        try:
            parsed = parse_dcep(message.data)
        except MalformedError as error:
            self._refuse(stream_id, str(error), now)
            return
        if isinstance(parsed, OpenMessage):
            self._handle_open(stream_id, parsed, now)
        elif isinstance(parsed, AckMessage):
            if channel is None or channel.negotiated or channel.announced:
                self._refuse(stream_id, "an ACK for an OPEN that was not sent", now)
            else:
                channel.heard = True

    def _handle_open(self, stream_id: int, message: OpenMessage, now: Instant) -> None:
        if stream_id in self._channels_by_stream:
            self._refuse(stream_id, "an OPEN on a stream that is in use", now)
        elif self._is_dtls_client is None or (stream_id % 2 == 0) == self._is_dtls_client:
            self._refuse(stream_id, "an OPEN on a stream of ours", now)
        elif stream_id > HIGHEST_STREAM_ID or self._announced >= MAX_ANNOUNCED:
            self._refuse(stream_id, "an OPEN for one channel too many", now)
        else:
            self._announce(stream_id, message, now)

    def _announce(self, stream_id: int, message: OpenMessage, now: Instant) -> None:
        try:
            self._association.send(stream_id, _DCEP, encode_ack(), now)
        except (LocalProtocolError, OperationError):
            return  # we are closing, or the stream of a channel before is not reset yet
        channel = Channel(self._number(), message, negotiated=False, announced=True)
        channel.state = ChannelState.OPEN
        channel.heard = True
        self._announced += 1
        self._channels[channel.number] = channel
        self._assign(channel, stream_id)
        self._events.append(
            ChannelAnnounced(
                channel.number,
                stream_id,
                message.label,
                message.protocol,
                message.ordered,
                message.max_retransmits,
                message.max_packet_life_time,
            )
        )

    def _refuse(self, stream_id: int, why: str, now: Instant) -> None:
        """The peer broke a rule about a channel: it is closed, and nothing is answered (RFC 8832 section 6)."""
        channel = self._channels_by_stream.get(stream_id)
        if channel is not None:
            if channel.error is None:
                channel.error = RemoteProtocolError(why)
            if channel.state is ChannelState.OPEN:
                self._events.append(ChannelClosing(channel.number))
            self._begin_closing(channel, now)
        elif self._reset_unused(stream_id, now):
            self._awaited.add(stream_id)

    # Closing

    def _begin_closing(self, channel: Channel, now: Instant) -> None:
        if channel.state is ChannelState.CLOSING:
            return
        if channel.state is ChannelState.CONNECTING or channel.stream_id is None:
            self._finish(channel, channel.error)
            return
        channel.state = ChannelState.CLOSING
        self._reset(channel.stream_id, now)

    def _reset(self, stream_id: int, now: Instant) -> None:
        with suppress(InvalidStateError):  # the association is closing, and all its channels with it
            self._association.reset_streams([stream_id], now)

    def _reset_unused(self, stream_id: int, now: Instant) -> bool:
        """Reset our side of a stream without a channel; returns whether that has begun."""
        if stream_id in self._resetting or stream_id >= self._association.streams:
            return False
        self._reset(stream_id, now)
        self._resetting.add(stream_id)
        return True

    def _handle_reset(self, stream_ids: Iterable[int], now: Instant) -> None:
        """The peer reset its side."""
        for stream_id in stream_ids:
            channel = self._channels_by_stream.get(stream_id)
            if channel is None:
                # RFC 8831 section 6.7: our side is reset in answer, unless it was ours that came first.
                if stream_id in self._awaited:
                    self._awaited.remove(stream_id)
                else:
                    self._reset_unused(stream_id, now)
                continue
            channel.peer_reset = True
            if channel.state is ChannelState.OPEN:
                self._events.append(ChannelClosing(channel.number))
            if channel.reset:
                self._finish(channel, channel.error)
            else:
                self._begin_closing(channel, now)

    def _handle_completed(self, stream_ids: Iterable[int]) -> None:
        """Our side is reset."""
        for stream_id in self._without_unused(stream_ids):
            channel = self._channels_by_stream.get(stream_id)
            if channel is not None:
                channel.reset = True
                if channel.peer_reset:
                    self._finish(channel, channel.error)

    def _without_unused(self, stream_ids: Iterable[int]) -> list[int]:
        """Those that had a channel when their reset was begun; a channel that waits on one of the others may open."""
        had_channel = [stream_id for stream_id in stream_ids if stream_id not in self._resetting]
        self._resetting.difference_update(stream_ids)
        return had_channel

    def _handle_refused(self, stream_ids: Iterable[int]) -> None:
        for stream_id in self._without_unused(stream_ids):
            channel = self._channels_by_stream.get(stream_id)
            if channel is not None:
                self._finish(channel, channel.error or OperationError("the peer did not reset the stream"))

    def _finish(self, channel: Channel, error: IcelaneError | None) -> None:
        unsent = self.buffered_amount(channel.number)
        self._forget(channel)
        self._events.append(ChannelClosed(channel.number, error, unsent))

    def _forget(self, channel: Channel) -> None:
        del self._channels[channel.number]
        if channel.stream_id is not None:
            del self._channels_by_stream[channel.stream_id]
        self._announced -= channel.announced

    def _finish_all(self, error: IcelaneError | None) -> None:
        self._over = True
        self._resetting.clear()
        self._awaited.clear()
        for channel in list(self._channels.values()):
            self._finish(channel, channel.error or error)

    # Draining

    def _take_low_amounts(self) -> None:
        """Sending is what lowers an amount, and leads to no event but this."""
        while (event := self._association.poll_event()) is not None:
            if isinstance(event, sctp.BufferedAmountLow):
                self._handle_low_amount(event.stream_id)

    def _handle_low_amount(self, stream_id: int) -> None:
        channel = self._channels_by_stream.get(stream_id)
        if channel is not None and channel.used:
            self._events.append(BufferedAmountLow(channel.number))
