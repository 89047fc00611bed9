"""A binding to libvpx's encoders: what PyAV does not reach is changing the rate of one that is open.

Of the library's structures only the beginning is written down here, which is the same in all versions since 1.8; the
rest is taken as the library fills it in. Whether that holds for the library at hand is checked on the values that it
fills in by default, and the number of its interface, which only its header has, is found by trying.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache
from typing import Final, NamedTuple

from icelane.errors import NotSupportedError, OperationError
from icelane.media.codecs.shared_library import open_library

# vpx_codec.h, vpx_encoder.h, vpx_image.h
_OK: Final = 0
_ABI_MISMATCH: Final = 3
_FRAME_PACKET: Final = 0
_FRAME_IS_KEY: Final = 1
_FORCE_KEY_FRAME: Final = 1
_REALTIME: Final = 1
_FORMAT_I420: Final = 0x102
CONSTANT_BITRATE: Final = 1
KEY_FRAMES_ON_DEMAND: Final = 0

# vp8cx.h
SET_CPU_USED: Final = 13
SET_STATIC_THRESHOLD: Final = 17
SET_TOKEN_PARTITIONS: Final = 18
GET_LAST_QUANTIZER: Final = 19
SET_MAX_INTRA_BITRATE: Final = 26
SET_VP9_TILE_COLUMNS: Final = 33
SET_VP9_ADAPTIVE_QUANTIZATION: Final = 36
SET_VP9_ROW_THREADS: Final = 55

# Above that no interface is numbered: it was 39 in version 1.16.
_HIGHEST_ABI: Final = 80
_LOWEST_ABI: Final = 14

# Room for what the structures have behind the part that is known here: they have 56, 500 and 136 bytes now.
_SPARE: Final = 4096


class Configuration(ctypes.Structure):
    """The beginning of `vpx_codec_enc_cfg`, and room for the rest. Rates are in kbit/s."""

    _fields_ = [
        ("usage", ctypes.c_uint),
        ("threads", ctypes.c_uint),
        ("profile", ctypes.c_uint),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("bit_depth", ctypes.c_int),
        ("input_bit_depth", ctypes.c_uint),
        ("time_base_numerator", ctypes.c_int),
        ("time_base_denominator", ctypes.c_int),
        ("error_resilient", ctypes.c_uint32),
        ("pass_", ctypes.c_int),
        ("lag_in_frames", ctypes.c_uint),
        ("drop_frame_threshold", ctypes.c_uint),
        ("resize_allowed", ctypes.c_uint),
        ("scaled_width", ctypes.c_uint),
        ("scaled_height", ctypes.c_uint),
        ("resize_up_threshold", ctypes.c_uint),
        ("resize_down_threshold", ctypes.c_uint),
        ("end_usage", ctypes.c_int),
        ("two_pass_statistics", ctypes.c_void_p),
        ("two_pass_statistics_size", ctypes.c_size_t),
        ("first_pass_statistics", ctypes.c_void_p),
        ("first_pass_statistics_size", ctypes.c_size_t),
        ("target_bitrate", ctypes.c_uint),
        ("min_quantizer", ctypes.c_uint),
        ("max_quantizer", ctypes.c_uint),
        ("undershoot_percent", ctypes.c_uint),
        ("overshoot_percent", ctypes.c_uint),
        ("buffer_size", ctypes.c_uint),
        ("buffer_initial_size", ctypes.c_uint),
        ("buffer_optimal_size", ctypes.c_uint),
        ("two_pass_bias_percent", ctypes.c_uint),
        ("two_pass_min_section", ctypes.c_uint),
        ("two_pass_max_section", ctypes.c_uint),
        ("two_pass_corpus_complexity", ctypes.c_uint),
        ("key_frame_mode", ctypes.c_int),
        ("key_frame_min_distance", ctypes.c_uint),
        ("key_frame_max_distance", ctypes.c_uint),
        ("rest", ctypes.c_char * _SPARE),
    ]


class Image(ctypes.Structure):
    """The beginning of `vpx_image`, and room for the rest."""

    _fields_ = [
        ("format", ctypes.c_int),
        ("color_space", ctypes.c_int),
        ("range", ctypes.c_int),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("bit_depth", ctypes.c_uint),
        ("display_width", ctypes.c_uint),
        ("display_height", ctypes.c_uint),
        ("render_width", ctypes.c_uint),
        ("render_height", ctypes.c_uint),
        ("x_chroma_shift", ctypes.c_uint),
        ("y_chroma_shift", ctypes.c_uint),
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
        ("rest", ctypes.c_char * _SPARE),
    ]


class _FramePacket(ctypes.Structure):
    """The beginning of `vpx_codec_cx_pkt` when it holds a frame."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("pts", ctypes.c_int64),
        ("duration", ctypes.c_ulong),
        ("flags", ctypes.c_uint32),
    ]


# What every version fills in by default: a structure that is laid out otherwise does not show it.
_DEFAULTS: Final = {
    "width": 320,
    "height": 240,
    "time_base_numerator": 1,
    "time_base_denominator": 30,
    "target_bitrate": 256,
    "max_quantizer": 63,
    "two_pass_bias_percent": 50,
    "key_frame_max_distance": 128,
}


class VpxFrame(NamedTuple):
    """What the encoder gave."""

    data: bytes
    is_key: bool


class Libvpx:
    """The library, with the signatures of what is called, and the number of its interface."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer = ctypes.c_void_p
        self._library = library
        self._version_string = library.vpx_codec_version_str
        self._version_string.restype = ctypes.c_char_p
        self.error_string = library.vpx_codec_err_to_string
        self.error_string.restype = ctypes.c_char_p
        self.config_default = library.vpx_codec_enc_config_default
        self.config_default.argtypes = [pointer, pointer, ctypes.c_uint]
        self.encoder_init = library.vpx_codec_enc_init_ver
        self.encoder_init.argtypes = [pointer, pointer, pointer, ctypes.c_long, ctypes.c_int]
        self.config_set = library.vpx_codec_enc_config_set
        self.config_set.argtypes = [pointer, pointer]
        self.control = library.vpx_codec_control_
        self.control.argtypes = [pointer, ctypes.c_int]  # and one more, which varies
        self.encode = library.vpx_codec_encode
        self.encode.argtypes = [pointer, pointer, ctypes.c_int64, ctypes.c_ulong, ctypes.c_long, ctypes.c_ulong]
        self.next_packet = library.vpx_codec_get_cx_data
        self.next_packet.argtypes = [pointer, pointer]
        self.next_packet.restype = ctypes.POINTER(_FramePacket)
        self.image_wrap = library.vpx_img_wrap
        self.image_wrap.argtypes = [pointer, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, pointer]
        self.image_wrap.restype = pointer
        self.destroy = library.vpx_codec_destroy
        self.destroy.argtypes = [pointer]
        self.abi = self._find_abi()

    @property
    def version(self) -> str:
        """As the library calls itself: `v1.16.0`."""
        text: bytes = self._version_string()
        return text.decode()

    def error(self, code: int) -> str:
        """What the library says about a result."""
        text: bytes = self.error_string(code)
        return text.decode()

    def interface(self, name: str) -> int:
        """The address of the encoder of `vp8` or `vp9`. Raises NotSupportedError when it was built without."""
        try:
            function = getattr(self._library, f"vpx_codec_{name}_cx")
        except AttributeError as error:
            raise NotSupportedError(f"libvpx {self.version} was built without an encoder of {name.upper()}") from error
        function.restype = ctypes.c_void_p
        address: int = function()
        return address

    def default_configuration(self, interface: int) -> Configuration:
        """Raises NotSupportedError when the structure is not the one that is known here."""
        configuration = Configuration()
        result = self.config_default(interface, ctypes.byref(configuration), 0)
        if result != _OK or any(getattr(configuration, name) != value for name, value in _DEFAULTS.items()):
            raise NotSupportedError(f"libvpx {self.version} has a configuration of another form")
        return configuration

    def _find_abi(self) -> int:
        interface = self.interface("vp8")
        configuration = self.default_configuration(interface)
        # From above: some builds also take numbers below their own, and may then treat the structure as an older one.
        for abi in range(_HIGHEST_ABI, _LOWEST_ABI - 1, -1):
            context = ctypes.create_string_buffer(_SPARE)
            result = self.encoder_init(context, interface, ctypes.byref(configuration), 0, abi)
            if result == _OK:
                self.destroy(context)
                return abi
            if result != _ABI_MISMATCH:
                break
        raise NotSupportedError(f"libvpx {self.version} has an interface of unknown number")


@lru_cache(maxsize=1)
def libvpx() -> Libvpx:
    """The library of this machine. Raises NotSupportedError when there is none, or none that is understood."""
    sonames = ("libvpx.so.12", "libvpx.so.11", "libvpx.so.9", "libvpx.so.8", "libvpx.so.7", "libvpx.so.6")
    library = open_library("vpx", sonames=sonames)
    try:
        return Libvpx(library)
    except AttributeError as error:
        raise NotSupportedError(f"libvpx lacks a function: {error}") from error


class VpxEncoderHandle:
    """An open encoder of I420 pictures."""

    def __init__(self, interface: int, configuration: Configuration) -> None:
        self._library = libvpx()
        self._context = ctypes.create_string_buffer(_SPARE)
        self._image = Image()
        self._check(
            self._library.encoder_init(self._context, interface, ctypes.byref(configuration), 0, self._library.abi)
        )
        self.close = weakref.finalize(self, self._library.destroy, self._context)
        self.close.atexit = False

    def control(self, request: int, value: int) -> None:
        """One of the SET_ requests. Raises OperationError when the library refuses."""
        self._require_open()
        self._check(self._library.control(self._context, request, ctypes.c_int(value)))

    def query(self, request: int) -> int:
        """One of the GET_ requests. Raises OperationError when the library refuses."""
        self._require_open()
        value = ctypes.c_int()
        self._check(self._library.control(self._context, request, ctypes.byref(value)))
        return value.value

    def configure(self, configuration: Configuration) -> None:
        """Go on with another configuration. Raises OperationError when that takes a new encoder."""
        self._require_open()
        self._check(self._library.config_set(self._context, ctypes.byref(configuration)))

    def encode(
        self,
        size: tuple[int, int],
        planes: list[tuple[int, int]],
        *,
        pts: int,
        duration: int,
        force_key_frame: bool,
    ) -> list[VpxFrame]:
        """A picture of `size`, whose three `planes` are addresses and strides. Raises OperationError."""
        self._require_open()
        image = self._image
        self._library.image_wrap(ctypes.byref(image), _FORMAT_I420, *size, 1, planes[0][0])
        for index, (address, stride) in enumerate(planes):
            image.planes[index] = address
            image.strides[index] = stride
        flags = _FORCE_KEY_FRAME if force_key_frame else 0
        self._check(self._library.encode(self._context, ctypes.byref(image), pts, duration, flags, _REALTIME))
        return self._packets()

    def _packets(self) -> list[VpxFrame]:
        frames, iterator = [], ctypes.c_void_p()
        while packet := self._library.next_packet(self._context, ctypes.byref(iterator)):
            content = packet.contents
            if content.kind == _FRAME_PACKET:
                data = ctypes.string_at(content.data, content.size)
                frames.append(VpxFrame(data, bool(content.flags & _FRAME_IS_KEY)))
        return frames

    def _require_open(self) -> None:
        if not self.close.alive:
            raise OperationError("the encoder is closed")

    def _check(self, result: int) -> None:
        if result != _OK:
            raise OperationError(f"libvpx: {self._library.error(result)}")
