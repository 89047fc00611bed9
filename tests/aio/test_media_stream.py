"""Tracks that belong together."""

from __future__ import annotations

from icelane.aio.media_stream import MediaStream
from icelane.aio.media_stream_track import AudioStreamTrack, VideoStreamTrack


def test_a_stream_knows_its_tracks() -> None:
    audio, video = AudioStreamTrack(), VideoStreamTrack()
    stream = MediaStream([audio])
    stream.addTrack(video)
    stream.addTrack(video)
    assert stream.getTracks() == [audio, video]
    assert stream.getAudioTracks() == [audio]
    assert stream.getVideoTracks() == [video]
    assert stream.getTrackById(video.id) is video
    activity = [stream.active]
    audio.stop()
    video.stop()
    activity.append(stream.active)
    assert activity == [True, False]
    stream.removeTrack(audio)
    stream.removeTrack(audio)
    assert stream.getTracks() == [video]
    assert stream.id in repr(stream)


def test_only_what_the_peer_changes_is_told() -> None:
    stream, told = MediaStream(identifier="camera"), []
    for event in ("addtrack", "removetrack"):
        stream.on(event, lambda track, event=event: told.append((event, track.kind)))
    track = AudioStreamTrack()
    stream.addTrack(track)
    stream._peer_added(track)
    stream._peer_removed(track)
    stream._peer_removed(track)
    assert told == [("removetrack", "audio")]
    assert stream.id == "camera"
