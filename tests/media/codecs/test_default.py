"""What this machine has is registered, and what it has not is told."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from icelane.errors import NotSupportedError
from icelane.media.codec import MediaKind
from icelane.media.codecs import libopus as opus_binding
from icelane.media.codecs import libvpx as vpx_binding
from icelane.media.codecs.capability import AV1, G722, H264, H265, OPUS, PCMA, PCMU, RETRANSMISSION, TONES, VP8, VP9
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.pyav_audio import PyavAudioDecoder, PyavAudioEncoder
from icelane.media.codecs.pyav_video import PyavVideoEncoder
from tests.media.codecs.material import cards, clocks, encoded, heard, seen, tones


def test_codecs_are_in_the_order_in_which_chromium_has_them() -> None:
    registry = default_registry()
    there = {entry.codec for entry in registry.entries()}
    audio = [codec for codec in (OPUS, G722, PCMU, PCMA, *TONES) if codec in there]
    video = [codec for codec in (VP8, VP9, *H264, AV1, RETRANSMISSION) if codec in there]
    assert list(registry.codecs(MediaKind.AUDIO)) == audio
    assert list(registry.codecs(MediaKind.VIDEO)) == video


def test_each_codec_that_is_not_there_has_a_reason() -> None:
    registry = default_registry()
    whole = {entry.codec for entry in registry.entries() if entry.encoder and entry.decoder}
    for codec in (OPUS, G722, PCMU, PCMA, VP8, VP9, *H264, AV1, H265):
        assert codec in whole or any(entry.codec == codec and entry.reason for entry in registry.missing())


def test_registries_share_nothing() -> None:
    registry = default_registry()
    registry.unregister(VP8)
    assert VP8 in default_registry().codecs(MediaKind.VIDEO)


def _no_library(*_: object) -> None:
    raise NotSupportedError("it is not there")


def test_opus_goes_through_pyav_where_libopus_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus_binding, "libopus", _no_library)
    registry = default_registry()
    assert any("no FEC and no concealment: it is not there" in entry.reason for entry in registry.missing())
    encoder, decoder = registry.encoder(OPUS), registry.decoder(OPUS)
    assert isinstance(encoder, PyavAudioEncoder)
    assert isinstance(decoder, PyavAudioDecoder)
    sounds = heard(decoder, encoded(encoder, tones(25)))
    assert {(sound.samples, sound.sample_rate, sound.format.name) for sound in sounds[1:]} == {(960, 48_000, "s16")}
    assert len(decoder.conceal(960)) == 1


@pytest.mark.parametrize("codec", [VP8, VP9])
def test_vp8_and_vp9_go_through_pyav_where_libvpx_cannot_be_reached(
    codec: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vpx_binding, "libvpx", _no_library)
    registry = default_registry()
    which = VP8 if codec is VP8 else VP9
    assert any("takes a key frame" in entry.reason for entry in registry.missing() if entry.codec == which)
    encoder, decoder = registry.encoder(which), registry.decoder(which)
    assert isinstance(encoder, PyavVideoEncoder)
    frames = encoded(encoder, cards(10))
    encoder.set_bitrate(200_000)
    frames += encoded(encoder, cards(10, first=10))
    assert [frame.is_key for frame in frames].count(True) == 2
    assert clocks(seen(decoder, frames)) == [frame.timestamp // 90 for frame in frames]


def test_without_pyav_the_library_imports_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "av" else real(name, *rest))
    registry = default_registry()
    assert registry.codecs(MediaKind.VIDEO) == (RETRANSMISSION,)
    with pytest.raises(NotSupportedError, match=r"pip install 'icelane\[media\]'"):
        registry.encoder(VP8)


def test_importing_the_library_does_not_import_pyav() -> None:
    program = """
import sys
import icelane, icelane.aio.peer_connection, icelane.media.codecs.default
assert "av" not in sys.modules
sys.modules["av"] = None
try:
    import icelane.media.pyav
except icelane.errors.MissingExtraError as error:
    assert "pip install 'icelane[media]'" in str(error) and error.extra == "media" and isinstance(error, ImportError)
else:
    raise SystemExit("imported")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
