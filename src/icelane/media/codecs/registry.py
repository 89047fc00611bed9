"""Which codecs there are, and what makes an encoder or a decoder of each.

A program registers what it brings, or takes the registry of `icelane.media.codecs.default` and changes it; there is
none that all share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from icelane.errors import LocalProtocolError, NotSupportedError
from icelane.media.codec import MediaKind, RtpCodec
from icelane.media.codecs.interface import Decoder, Encoder, EncoderSettings
from icelane.media.codecs.matching import matches

EncoderFactory = Callable[[RtpCodec, EncoderSettings], Encoder]
"""Takes the codec as the side that will decode describes it."""

DecoderFactory = Callable[[RtpCodec], Decoder]

# Payload types are 64 at most (RFC 8834 and RFC 3551: 96 to 127 and 35 to 63), half of which retransmission may take.
MAX_CODECS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredCodec:
    """A codec with what makes its ends; both are None for one that is passed on without being looked into.

    Codecs of higher `priority` are offered first. One that is not `is_offered` is used only when asked for by name.
    """

    codec: RtpCodec
    encoder: EncoderFactory | None = None
    decoder: DecoderFactory | None = None
    priority: int = 0
    is_offered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingCodec:
    """A codec that is known and cannot be used here, or in one direction only, and why."""

    codec: RtpCodec
    reason: str


class CodecRegistry:
    """Codecs by preference. Not for several threads at once while it is being changed."""

    def __init__(self) -> None:
        self._registered: list[RegisteredCodec] = []
        self._missing: list[MissingCodec] = []

    def register(
        self,
        codec: RtpCodec,
        *,
        encoder: EncoderFactory | None = None,
        decoder: DecoderFactory | None = None,
        priority: int = 0,
        is_offered: bool = True,
    ) -> None:
        """Add `codec`, in place of an equal one. Raises LocalProtocolError beyond MAX_CODECS."""
        self.unregister(codec)
        if len(self._registered) >= MAX_CODECS:
            raise LocalProtocolError(f"a description has room for {MAX_CODECS} codecs")
        self._registered.append(
            RegisteredCodec(codec=codec, encoder=encoder, decoder=decoder, priority=priority, is_offered=is_offered)
        )

    def unregister(self, codec: RtpCodec) -> None:
        """Forget `codec`; one that was never there is harmless."""
        self._registered = [entry for entry in self._registered if entry.codec != codec]

    def mark_missing(self, codec: RtpCodec, reason: str) -> None:
        """Remember why `codec`, or one of its directions, is not to be had; errors and tables say so."""
        self._missing.append(MissingCodec(codec=codec, reason=reason))

    def codecs(self, kind: MediaKind, *, can_send: bool = False, can_receive: bool = False) -> tuple[RtpCodec, ...]:
        """What to offer, by preference; with `can_send` or `can_receive` only what has an encoder or a decoder.

        Retransmission and tones always count: they have neither.
        """
        return tuple(
            entry.codec
            for entry in self._by_preference()
            if entry.codec.kind is kind
            and entry.is_offered
            and (not entry.codec.is_media or ((entry.encoder or not can_send) and (entry.decoder or not can_receive)))
        )

    def entries(self) -> tuple[RegisteredCodec, ...]:
        """All that is registered, by preference."""
        return tuple(self._by_preference())

    def missing(self) -> tuple[MissingCodec, ...]:
        """What is known and not to be had here, with the reasons."""
        return tuple(self._missing)

    def encoder(self, codec: RtpCodec, settings: EncoderSettings | None = None) -> Encoder:
        """An encoder of `codec`, which is as the side that decodes described it. Raises NotSupportedError."""
        for entry in self._by_preference():
            if entry.encoder is not None and matches(entry.codec, codec):
                return entry.encoder(codec, settings or EncoderSettings())
        raise NotSupportedError(f"there is no encoder of {_describe(codec)}{self._reason(codec)}")

    def decoder(self, codec: RtpCodec) -> Decoder:
        """A decoder of `codec`. Raises NotSupportedError."""
        for entry in self._by_preference():
            if entry.decoder is not None and matches(entry.codec, codec):
                return entry.decoder(codec)
        raise NotSupportedError(f"there is no decoder of {_describe(codec)}{self._reason(codec)}")

    def _by_preference(self) -> list[RegisteredCodec]:
        return sorted(self._registered, key=lambda entry: -entry.priority)

    def _reason(self, codec: RtpCodec) -> str:
        reasons = [entry.reason for entry in self._missing if matches(entry.codec, codec)]
        return f": {reasons[0]}" if reasons else ""


def _describe(codec: RtpCodec) -> str:
    return f"{codec.mime_type} ({codec.parameters_text})" if codec.parameters else codec.mime_type
