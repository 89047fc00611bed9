"""How large the pictures are that a sequence parameter set of H.264 or H.265 announces."""

from __future__ import annotations

from typing import Final

from icelane.errors import MalformedError
from icelane.media.payload.bit_reader import BitReader
from icelane.media.payload.nal_unit import unescape

_MAX_SIZE: Final = 4096
"""More than any parameter set needs before the sizes, with all its scaling lists."""
_MAX_CYCLE: Final = 255
"""H.264 section 7.4.2.1.1: num_ref_frames_in_pic_order_cnt_cycle. A set that has more is malformed."""
_MAX_EDGE: Final = 65_536
"""Pictures wider or higher than this are malformed."""

# H.264 section 7.3.2.1.1: the profiles whose parameter sets have the format of chroma in them.
_PROFILES_WITH_CHROMA: Final = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_MONOCHROME: Final = 0
_4_2_0: Final = 1
_4_2_2: Final = 2
_4_4_4: Final = 3
_GENERAL_PROFILE: Final = 88
_LEVEL: Final = 8
_MAX_SUB_LAYERS: Final = 8


def parse_h264_size(unit: bytes) -> tuple[int, int]:
    """Width and height after cropping; `unit` is the NAL unit (H.264 section 7.3.2.1.1). Raises MalformedError."""
    data = unescape(unit[:_MAX_SIZE])
    reader = BitReader(data[1:])
    profile = reader.bits(8)
    reader.skip(16)
    reader.exp_golomb()
    chroma = _4_2_0
    if profile in _PROFILES_WITH_CHROMA:
        chroma = _parse_chroma(reader)
    reader.exp_golomb()
    _skip_order_count(reader)
    reader.exp_golomb()
    reader.skip(1)
    width = (reader.exp_golomb() + 1) * 16
    rows = reader.exp_golomb() + 1
    frames_only = reader.bits(1)
    height = rows * 16 * (2 - frames_only)
    if not frames_only:
        reader.skip(1)
    reader.skip(1)
    across = 2 if chroma in (_4_2_0, _4_2_2) else 1
    down = (2 if chroma == _4_2_0 else 1) * (2 - frames_only)
    return _cropped(reader, width, height, across, down)


def _parse_chroma(reader: BitReader) -> int:
    chroma = reader.exp_golomb()
    if chroma > _4_4_4:
        raise MalformedError(f"chroma of format {chroma}")
    lists = 12 if chroma == _4_4_4 else 8
    if chroma == _4_4_4 and reader.flag():
        chroma = _MONOCHROME  # three planes that are each coded so
    reader.exp_golomb()
    reader.exp_golomb()
    reader.skip(1)
    if reader.flag():
        for index in range(lists):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = 8
    for _ in range(size):
        scale = (last + reader.signed_exp_golomb()) % 256
        if scale == 0:
            return
        last = scale


def _skip_order_count(reader: BitReader) -> None:
    kind = reader.exp_golomb()
    if kind == 0:
        reader.exp_golomb()
    elif kind == 1:
        reader.skip(1)
        reader.exp_golomb()
        reader.exp_golomb()
        count = reader.exp_golomb()
        if count > _MAX_CYCLE:
            raise MalformedError(f"{count} frames in a cycle of picture order counts")
        for _ in range(count):
            reader.exp_golomb()


def parse_h265_size(unit: bytes) -> tuple[int, int]:
    """Width and height after cropping; `unit` is the NAL unit (H.265 section 7.3.2.2). Raises MalformedError."""
    data = unescape(unit[:_MAX_SIZE])
    reader = BitReader(data[2:])
    reader.skip(4)
    sub_layers = reader.bits(3)
    reader.skip(1 + _GENERAL_PROFILE + _LEVEL)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (_MAX_SUB_LAYERS - sub_layers))
    for profile, level in present:
        reader.skip(_GENERAL_PROFILE * profile + _LEVEL * level)
    reader.exp_golomb()
    chroma = reader.exp_golomb()
    if chroma == _4_4_4:
        reader.skip(1)
    width, height = reader.exp_golomb(), reader.exp_golomb()
    return _cropped(reader, width, height, 2 if chroma in (_4_2_0, _4_2_2) else 1, 2 if chroma == _4_2_0 else 1)


def _cropped(reader: BitReader, width: int, height: int, across: int, down: int) -> tuple[int, int]:
    if reader.flag():
        width -= across * (reader.exp_golomb() + reader.exp_golomb())
        height -= down * (reader.exp_golomb() + reader.exp_golomb())
    if not (0 < width <= _MAX_EDGE and 0 < height <= _MAX_EDGE):
        raise MalformedError(f"pictures of {width} by {height}")
    return width, height
