"""A binding to libopus: what PyAV does not reach is concealment, FEC when decoding, and changes while encoding.

Thin: an encoder and a decoder, each for one thread at a time. Memory of the library goes when they do.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache
from typing import Final

from icelane.errors import MalformedError, NotSupportedError, OperationError
from icelane.media.codecs.shared_library import open_library

SAMPLE_RATE: Final = 48_000
MAX_SAMPLES: Final = 5_760  # 120 ms, the longest packet (RFC 6716 section 3.1)
MAX_PACKET_SIZE: Final = 1_275 * 6

# opus_defines.h
APPLICATION_VOIP: Final = 2048
APPLICATION_AUDIO: Final = 2049
SET_BITRATE: Final = 4002
SET_MAX_BANDWIDTH: Final = 4004
SET_VBR: Final = 4006
SET_INBAND_FEC: Final = 4012
SET_PACKET_LOSS: Final = 4014
SET_DTX: Final = 4016

# By the highest sampling rate that makes sense (RFC 7587 section 3.1.1): maxplaybackrate to the bandwidth.
_BANDWIDTHS: Final = ((8_000, 1101), (12_000, 1102), (16_000, 1103), (24_000, 1104))
_FULLBAND: Final = 1105


class Libopus:
    """The library, with the signatures of what is called."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, integer, bytes_ = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
        self.version_string = library.opus_get_version_string
        self.version_string.restype = bytes_
        self.error_string = library.opus_strerror
        self.error_string.restype = bytes_
        self.encoder_create = library.opus_encoder_create
        self.encoder_create.restype = pointer
        self.encoder_create.argtypes = [integer, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        self.encode = library.opus_encode
        self.encode.argtypes = [pointer, pointer, ctypes.c_int, pointer, integer]
        self.encoder_ctl = library.opus_encoder_ctl
        self.encoder_ctl.argtypes = [pointer, ctypes.c_int]  # and one more, which varies
        self.encoder_destroy = library.opus_encoder_destroy
        self.encoder_destroy.argtypes = [pointer]
        self.encoder_destroy.restype = None
        self.decoder_create = library.opus_decoder_create
        self.decoder_create.restype = pointer
        self.decoder_create.argtypes = [integer, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        self.decode = library.opus_decode
        self.decode.argtypes = [pointer, bytes_, integer, pointer, ctypes.c_int, ctypes.c_int]
        self.decoder_destroy = library.opus_decoder_destroy
        self.decoder_destroy.argtypes = [pointer]
        self.decoder_destroy.restype = None
        self.packet_samples = library.opus_packet_get_nb_samples
        self.packet_samples.argtypes = [bytes_, integer, integer]

    def error(self, code: int) -> str:
        """What the library says about a negative result."""
        text: bytes = self.error_string(code)
        return text.decode()


@lru_cache(maxsize=1)
def libopus() -> Libopus:
    """The library of this machine. Raises NotSupportedError when there is none."""
    library = open_library("opus", sonames=("libopus.so.0", "libopus.0.dylib", "opus.dll"))
    try:
        return Libopus(library)
    except AttributeError as error:
        raise NotSupportedError(f"libopus lacks a function: {error}") from error


class OpusEncoderHandle:
    """An encoder of interleaved s16 at 48 kHz."""

    def __init__(self, channels: int, application: int) -> None:
        self._library = libopus()
        error = ctypes.c_int()
        self._pointer = self._library.encoder_create(SAMPLE_RATE, channels, application, ctypes.byref(error))
        if not self._pointer:
            raise OperationError(f"libopus: {self._library.error(error.value)}")
        self._buffer = ctypes.create_string_buffer(MAX_PACKET_SIZE)
        self.close = weakref.finalize(self, self._library.encoder_destroy, self._pointer)
        self.close.atexit = False

    def set(self, request: int, value: int) -> None:
        """One of the SET_ requests. Raises OperationError when the library refuses."""
        self._require_open()
        result = self._library.encoder_ctl(self._pointer, request, ctypes.c_int32(value))
        if result < 0:
            raise OperationError(f"libopus refuses {request} {value}: {self._library.error(result)}")

    def encode(self, pcm_address: int, samples: int) -> bytes:
        """A packet from `samples` for each channel. Raises OperationError."""
        self._require_open()
        size = self._library.encode(self._pointer, pcm_address, samples, self._buffer, MAX_PACKET_SIZE)
        if size < 0:
            raise OperationError(f"libopus: {self._library.error(size)}")
        return ctypes.string_at(self._buffer, size)

    def _require_open(self) -> None:
        if not self.close.alive:
            raise OperationError("the encoder is closed")


class OpusDecoderHandle:
    """A decoder to interleaved s16 at 48 kHz."""

    def __init__(self, channels: int) -> None:
        self._library = libopus()
        self._channels = channels
        error = ctypes.c_int()
        self._pointer = self._library.decoder_create(SAMPLE_RATE, channels, ctypes.byref(error))
        if not self._pointer:
            raise OperationError(f"libopus: {self._library.error(error.value)}")
        self._buffer = ctypes.create_string_buffer(MAX_SAMPLES * channels * 2)
        self.close = weakref.finalize(self, self._library.decoder_destroy, self._pointer)
        self.close.atexit = False

    def decode(self, packet: bytes | None, samples: int = MAX_SAMPLES, *, fec: bool = False) -> bytes:
        """The sound of `packet`; of `samples` that were lost when it is None, or before it with `fec`.

        `samples` is then a multiple of 120. Raises MalformedError for what is no packet.
        """
        if not self.close.alive:
            raise OperationError("the decoder is closed")
        size = len(packet) if packet else 0
        got = self._library.decode(self._pointer, packet or None, size, self._buffer, samples, int(fec))
        if got < 0:
            raise MalformedError(f"libopus: {self._library.error(got)}")
        return ctypes.string_at(self._buffer, got * self._channels * 2)


def max_bandwidth(playback_rate: int) -> int:
    """The value of SET_MAX_BANDWIDTH for a receiver that plays at most `playback_rate` Hz."""
    return next((bandwidth for rate, bandwidth in _BANDWIDTHS if playback_rate <= rate), _FULLBAND)
