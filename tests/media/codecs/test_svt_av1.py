"""AV1 through SVT-AV1 itself. What holds for every encoder is in test_pyav_video."""

from __future__ import annotations

import ctypes
import gc
from itertools import islice

import pytest

from icelane.errors import NotSupportedError, OperationError
from icelane.media.codecs import libsvtav1 as binding
from icelane.media.codecs.capability import AV1
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.codecs.pyav_video import PyavVideoEncoder
from icelane.media.codecs.svt_av1 import SvtAv1Encoder
from icelane.media.frame import EncodedFrame
from tests.media.codecs.material import MILLISECONDS, cards, clocks, encoded, ends, seen
from tests.media.codecs.test_vpx import noisy_cards


@pytest.fixture(autouse=True)
def _needs_the_library() -> None:
    try:
        binding.libsvtav1()
    except NotSupportedError as error:
        if error.__cause__ is not None:
            raise  # one of a version that is known, and it did not pass the trial: that is ours to mend
        pytest.skip(str(error))


def test_ten_changes_of_the_rate_cost_no_key_frame() -> None:
    encoder, decoder = ends(AV1, EncoderSettings(bitrate=500_000))
    assert isinstance(encoder, SvtAv1Encoder)
    frames: list[EncodedFrame] = []
    for step in range(11):
        if step:
            encoder.set_bitrate(200_000 if step % 2 else 1_200_000)
        frames += encoded(encoder, cards(6, first=6 * step))
    assert [frame.is_key for frame in frames].count(True) == 1
    assert clocks(seen(decoder, frames)) == [index * MILLISECONDS for index in range(66)]
    encoder.close()


@pytest.mark.parametrize("later", [1_500_000, 200_000])
def test_the_rate_is_kept_and_follows_up_and_down(later: int) -> None:
    encoder, _ = ends(AV1, EncoderSettings(bitrate=500_000))
    pictures = noisy_cards(130)
    encoded(encoder, pictures[:10])

    def rate(start: int, end: int) -> float:
        frames = encoded(encoder, pictures[start:end])
        return sum(len(frame.data) for frame in frames) * 8 / ((end - start) * MILLISECONDS / 1000)

    assert rate(10, 40) == pytest.approx(500_000, rel=0.25)
    encoder.set_bitrate(later)
    encoded(encoder, pictures[40:70])
    assert rate(70, 130) == pytest.approx(later, rel=0.25)
    encoder.close()


def test_the_rate_may_be_told_before_the_first_picture() -> None:
    encoder, _ = ends(AV1)
    encoder.set_bitrate(300_000)
    frames = encoded(encoder, islice(cards(60), 60))
    assert sum(len(frame.data) for frame in frames) * 8 / 2 < 400_000
    encoder.close()


def test_a_closed_encoder_and_one_that_is_forgotten_give_their_threads_back() -> None:
    threads = _threads()
    for _ in range(3):
        encoder, _ = ends(AV1)
        encoded(encoder, cards(2))
        encoder.close()
        encoder.close()
        with pytest.raises(OperationError):
            encoder.encode(next(cards(1)))
        forgotten, _ = ends(AV1)
        encoded(forgotten, cards(1))
        del forgotten
        gc.collect()
    assert _threads() <= threads


@pytest.mark.parametrize("version", ["v3.1.2", "v1.4.1", "v5.0.0", "unknown"])
def test_a_library_of_another_interface_is_not_used(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = binding.libsvtav1()
    monkeypatch.setattr(known, "version", version)
    with pytest.raises(NotSupportedError):
        known._require_version()


def test_a_library_whose_packets_have_another_size_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Longer(ctypes.Structure):
        _fields_ = [*binding._Buffer._fields_, ("more", ctypes.c_uint64)]

    known = binding.libsvtav1()
    monkeypatch.setattr(known.get_packet, "argtypes", None)
    monkeypatch.setattr(known.release, "argtypes", None)
    monkeypatch.setattr(known.send_picture, "argtypes", None)
    monkeypatch.setattr(binding, "_Buffer", Longer)
    with pytest.raises(OperationError, match="another form"):
        binding._probe(known)


def test_without_the_library_ffmpeg_encodes_and_it_is_said_what_that_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise NotSupportedError("there is none")

    monkeypatch.setattr(binding, "libsvtav1", missing)
    registry = default_registry()
    assert isinstance(registry.encoder(AV1), PyavVideoEncoder)
    [reason] = [one.reason for one in registry.missing() if one.codec is AV1]
    assert "takes a key frame: there is none" in reason


def _threads() -> int:
    from pathlib import Path

    return len(list(Path("/proc/self/task").iterdir()))
