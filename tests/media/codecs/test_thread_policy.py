"""An encoder that makes itself real-time leaves everybody else as they were."""

from __future__ import annotations

import os

import pytest

from icelane.media.codec import MediaKind
from icelane.media.codecs.default import default_registry
from icelane.media.codecs.interface import EncoderSettings
from icelane.media.synthetic.clock_card import draw_card


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are not to be seen here")
def test_no_encoder_leaves_a_thread_that_starves_the_others() -> None:
    registry = default_registry()
    for codec in registry.codecs(MediaKind.VIDEO, can_send=True):
        if codec.is_media:
            encoder = registry.encoder(codec, EncoderSettings())
            for number in range(3):
                encoder.encode(draw_card(160, 120, number, pts=number * 3_000))
                policies = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
                assert policies == {os.SCHED_OTHER}, codec.name
            encoder.close()
