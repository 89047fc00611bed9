"""RTCDTMFSender: the tones of a telephone's keys (W3C webrtc-pc section 7)."""

from __future__ import annotations

from icelane.aio.arguments import expect, expect_number
from icelane.aio.event_target import EventTarget
from icelane.aio.media_port import MediaPort
from icelane.errors import InvalidStateError
from icelane.peer.transceiver import Transceiver


class RTCDTMFSender(EventTarget):
    """The tones of one sender of sound; sound is not sent while one lasts.

    Event: `tonechange` (the character of the tone that begins; "" when all are over).
    """

    EVENTS = frozenset({"tonechange"})

    def __init__(self, port: MediaPort, transceiver: Transceiver) -> None:
        super().__init__()
        self._port = port
        self._transceiver = transceiver

    @property
    def canInsertDTMF(self) -> bool:  # noqa: N802  (W3C names)
        """Whether the peer takes tones, and something may be sent now."""
        stream = self._port.outbound(self._transceiver)
        return (
            not self._port.is_closed
            and self._transceiver.sends
            and stream is not None
            and stream.options.telephone_event is not None
        )

    @property
    def toneBuffer(self) -> str:  # noqa: N802
        """What has not begun yet."""
        stream = self._port.outbound(self._transceiver)
        return stream.tones.tones if stream is not None else ""

    def insertDTMF(self, tones: str, duration: float = 100, interToneGap: float = 70) -> None:  # noqa: N802, N803
        """Send `tones` (0-9, A-D, #, *; a comma is a pause of 2 s) in place of those that have not begun.

        In milliseconds: `duration` 40 to 6000, `interToneGap` 30 to 6000; what is shorter or longer is taken as the
        nearest of these. Raises InvalidStateError when nothing may be sent, or the peer takes no tones, TypeError, and
        InvalidAccessError (W3C: InvalidCharacterError) for another character, and for more than 1024 tones.
        """
        expect(tones, str)
        duration, gap = expect_number("duration", duration), expect_number("interToneGap", interToneGap)
        if not self.canInsertDTMF:
            raise InvalidStateError("no tones can be sent: see canInsertDTMF")
        self._port.run(
            lambda now: self._port.engine.insert_tones(
                self._transceiver, tones, now, duration=duration / 1000, gap=gap / 1000
            )
        )

    def _tone_changed(self, tone: str) -> None:
        self._emit("tonechange", tone, tone=tone)
