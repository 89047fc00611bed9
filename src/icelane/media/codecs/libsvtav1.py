"""A binding to SVT-AV1's encoder: what PyAV does not reach is changing the rate of one that is open.

Settings go in by name, so that nothing of the library's large structure of them is written down here: it fills in room
that is more than enough. Written down are what goes in and comes out with each picture, as version 4 has them; whether
that holds for the library at hand is tried on two pictures. Earlier versions change the rate with key frames only.
"""

from __future__ import annotations

import ctypes
import os
import re
import weakref
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from icelane.errors import NotSupportedError, OperationError
from icelane.media.codecs.shared_library import open_library
from icelane.media.codecs.thread_policy import ordinary_threads

# EbSvtAv1.h
_OK: Final = 0
_EMPTY_QUEUE: Final = 0x80002033
_KEY_PICTURE: Final = 3
_ANY_PICTURE: Final = 0xFF
_END_OF_STREAM: Final = 1
_RATE_CHANGE: Final = 4

_LOWEST_VERSION: Final = (4, 1)
_HIGHEST_VERSION: Final = (5, 0)
# Room for the settings, which take less than 1,000 bytes now.
_SETTINGS_SIZE: Final = 16_384
# What may still be in an encoder of no delay when it ends.
_MAX_REST: Final = 64
_PROBED_SIDE: Final = 64


class _Buffer(ctypes.Structure):
    """`EbBufferHeaderType`: a picture that goes in, or a packet that comes out."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("filled", ctypes.c_uint32),
        ("allocated", ctypes.c_uint32),
        ("events", ctypes.c_void_p),
        ("wrapper", ctypes.c_void_p),
        ("tick_count", ctypes.c_uint32),
        ("dts", ctypes.c_int64),
        ("pts", ctypes.c_int64),
        ("temporal_layer", ctypes.c_uint8),
        ("quantizer", ctypes.c_uint32),
        ("average_quantizer", ctypes.c_uint32),
        ("picture_type", ctypes.c_uint32),
        ("errors", ctypes.c_uint64 * 3),
        ("flags", ctypes.c_uint32),
        ("similarities", ctypes.c_double * 3),
        ("metadata", ctypes.c_void_p),
    ]


class _Picture(ctypes.Structure):
    """`EbSvtIOFormat`: three planes and their strides, where that of the third comes before that of the second."""

    _fields_ = [
        ("planes", ctypes.c_void_p * 3),
        ("stride", ctypes.c_uint32),
        ("third_stride", ctypes.c_uint32),
        ("second_stride", ctypes.c_uint32),
    ]


class _Event(ctypes.Structure):
    """`EbPrivDataNode`: what goes in with a picture."""

    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
    ]


class _Rate(ctypes.Structure):
    """`SvtAv1RateInfo`, in bit/s."""

    _fields_ = [("quantizer", ctypes.c_uint32), ("bitrate", ctypes.c_uint32)]


class SvtAv1Frame(NamedTuple):
    """What the encoder gave; `pts` is the picture's."""

    data: bytes
    is_key: bool
    pts: int


class LibSvtAv1:
    """The library, with the signatures of what is called."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer = ctypes.c_void_p
        version = library.svt_av1_get_version
        version.restype = ctypes.c_char_p
        self.version: str = version().decode()
        self.init_handle = library.svt_av1_enc_init_handle
        self.init_handle.argtypes = [ctypes.POINTER(pointer), pointer]
        self.parse_parameter = library.svt_av1_enc_parse_parameter
        self.parse_parameter.argtypes = [pointer, ctypes.c_char_p, ctypes.c_char_p]
        self.set_parameter = library.svt_av1_enc_set_parameter
        self.set_parameter.argtypes = [pointer, pointer]
        self.init = library.svt_av1_enc_init
        self.init.argtypes = [pointer]
        self.send_picture = library.svt_av1_enc_send_picture
        self.send_picture.argtypes = [pointer, ctypes.POINTER(_Buffer)]
        self.get_packet = library.svt_av1_enc_get_packet
        self.get_packet.argtypes = [pointer, ctypes.POINTER(ctypes.POINTER(_Buffer)), ctypes.c_uint8]
        self.release = library.svt_av1_enc_release_out_buffer
        self.release.argtypes = [ctypes.POINTER(ctypes.POINTER(_Buffer))]
        self.deinit = library.svt_av1_enc_deinit
        self.deinit.argtypes = [pointer]
        self.deinit_handle = library.svt_av1_enc_deinit_handle
        self.deinit_handle.argtypes = [pointer]
        for function in (self.init_handle, self.parse_parameter, self.set_parameter, self.init, self.send_picture):
            function.restype = ctypes.c_uint32
        self.get_packet.restype = ctypes.c_uint32
        self._require_version()

    def _require_version(self) -> None:
        found = re.match(r"v?(\d+)\.(\d+)", self.version)
        numbers = (int(found[1]), int(found[2])) if found else (0, 0)
        if not _LOWEST_VERSION <= numbers < _HIGHEST_VERSION:
            raise NotSupportedError(f"SVT-AV1 {self.version} is not one of those whose interface is known here")


def silence_svt_av1() -> None:
    """It writes what it thinks of its settings to stderr, line after line, unless the environment says otherwise."""
    os.environ.setdefault("SVT_LOG", "0")


@lru_cache(maxsize=1)
def libsvtav1() -> LibSvtAv1:
    """The library of this machine. Raises NotSupportedError when there is none, or none that is understood."""
    silence_svt_av1()
    library = open_library("SvtAv1Enc", sonames=("libSvtAv1Enc.so.4",))
    try:
        known = LibSvtAv1(library)
        _probe(known)
    except (AttributeError, OperationError) as error:
        raise NotSupportedError(f"SVT-AV1 is not as it is known here: {error}") from error
    return known


class SvtAv1Handle:
    """An open encoder of I420 pictures of no delay: each gives its packet, unless the rate is used up."""

    def __init__(self, library: LibSvtAv1, settings: Mapping[str, str]) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        self._settings = ctypes.create_string_buffer(_SETTINGS_SIZE)
        with ordinary_threads():  # this makes the calling thread a real-time one, and `init` those that it starts
            self._check(library.init_handle(ctypes.byref(self._handle), self._settings))
        self.close = weakref.finalize(self, library.deinit_handle, self._handle)
        self.close.atexit = False
        for name, value in settings.items():
            if library.parse_parameter(self._settings, name.encode(), value.encode()) != _OK:
                raise OperationError(f"SVT-AV1 {library.version} does not take {name}={value}")
        self._check(library.set_parameter(self._handle, self._settings))
        with ordinary_threads():
            self._check(library.init(self._handle))
        self.close.detach()
        self.close = weakref.finalize(self, _close, library, self._handle)
        self.close.atexit = False

    def encode(
        self,
        size: tuple[int, int],
        planes: Iterable[tuple[int, int]],
        *,
        pts: int,
        force_key_frame: bool,
        bitrate: int | None = None,
    ) -> list[SvtAv1Frame]:
        """A picture of `size`, whose three `planes` are addresses and strides; from it on the rate is `bitrate` bit/s.

        Raises OperationError.
        """
        if not self.close.alive:
            raise OperationError("the encoder is closed")
        (first, stride), (second, second_stride), (third, third_stride) = planes
        picture = _Picture((first, second, third), stride, third_stride, second_stride)
        buffer = _Buffer(size=ctypes.sizeof(_Buffer), data=ctypes.addressof(picture), pts=pts)
        buffer.filled = size[0] * size[1] * 3 // 2
        buffer.picture_type = _KEY_PICTURE if force_key_frame else _ANY_PICTURE
        # The library copies both before it comes back.
        rate = _Rate(0, bitrate or 0)
        event = _Event(_RATE_CHANGE, ctypes.addressof(rate), ctypes.sizeof(rate), None)
        if bitrate is not None:
            buffer.events = ctypes.addressof(event)
        self._check(self._library.send_picture(self._handle, ctypes.byref(buffer)))
        frame = self._next_frame()
        return [] if frame is None else [frame]

    def _next_frame(self) -> SvtAv1Frame | None:
        found = ctypes.POINTER(_Buffer)()
        result = self._library.get_packet(self._handle, ctypes.byref(found), 0)
        if result == _EMPTY_QUEUE:
            return None
        self._check(result)
        packet = found.contents
        try:
            if packet.size != ctypes.sizeof(_Buffer):
                raise OperationError(f"SVT-AV1 {self._library.version} has packets of another form")
            data = ctypes.string_at(packet.data, packet.filled)
            return SvtAv1Frame(data, packet.picture_type == _KEY_PICTURE, packet.pts)
        finally:
            self._library.release(ctypes.byref(found))

    def _check(self, result: int) -> None:
        if result != _OK:
            raise OperationError(f"SVT-AV1: error {result:#x}")


def _close(library: LibSvtAv1, handle: ctypes.c_void_p) -> None:
    """It is told that nothing more comes, gives what it has, and then goes: otherwise it complains."""
    end = _Buffer(size=ctypes.sizeof(_Buffer), flags=_END_OF_STREAM, picture_type=_ANY_PICTURE)
    is_ending = library.send_picture(handle, ctypes.byref(end)) == _OK
    for _ in range(_MAX_REST if is_ending else 0):
        found = ctypes.POINTER(_Buffer)()
        if library.get_packet(handle, ctypes.byref(found), 1) != _OK:
            break
        is_last = bool(found.contents.flags & _END_OF_STREAM)
        library.release(ctypes.byref(found))
        if is_last:
            break
    library.deinit(handle)
    library.deinit_handle(handle)


def _probe(library: LibSvtAv1) -> None:
    """Raises OperationError when a picture does not come out as it went in."""
    side = _PROBED_SIDE
    grey = ctypes.create_string_buffer(bytes([128]) * (side * side * 3 // 2))
    address = ctypes.addressof(grey)
    planes = [(address, side), (address + side**2, side // 2), (address + side**2 * 5 // 4, side // 2)]
    settings = {"width": str(side), "height": str(side), "preset": "10", "pred-struct": "1", "rc": "2", "rtc": "1"}
    handle = SvtAv1Handle(library, {**settings, "lp": "1"})
    try:
        for pts, bitrate in ((7_000, None), (10_000, 300_000)):
            [frame] = handle.encode((side, side), planes, pts=pts, force_key_frame=False, bitrate=bitrate)
            if frame.pts != pts or frame.is_key != (bitrate is None) or not frame.data:
                raise OperationError("a picture does not come out as it went in")
    except ValueError as error:
        raise OperationError("a picture does not come out at once") from error
    finally:
        handle.close()
