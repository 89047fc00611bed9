"""Turning pictures upright: a camera that is held sideways sends them as they fall, and says how they do.

It says so beside the pictures (3GPP TS 26.114 section 7.4.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icelane.errors import LocalProtocolError, OperationError
from icelane.media.codecs.video_input import TIME_BASE
from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.filter import Graph

# FFmpeg's filters, by degrees clockwise.
_FILTERS: Final[dict[int, tuple[tuple[str, str | None], ...]]] = {
    90: (("transpose", "clock"),),
    180: (("hflip", None), ("vflip", None)),
    270: (("transpose", "cclock"),),
}


class Rotator:
    """Turns pictures of one stream by multiples of 90 degrees; made anew inside when their shape changes."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str, int] | None = None

    def turn(self, picture: av.VideoFrame, degrees: int) -> av.VideoFrame:
        """`picture` turned clockwise by 0, 90, 180 or 270 degrees; itself for 0. Its time stays.

        Raises LocalProtocolError for other angles, OperationError when FFmpeg fails.
        """
        if degrees == 0:
            return picture
        if degrees not in _FILTERS:
            raise LocalProtocolError(f"pictures are turned by 90, 180 or 270 degrees, not {degrees}")
        try:
            graph = self._graph_for(picture, degrees)
            graph.push(picture)
            turned = graph.pull()
        except (av.FFmpegError, ValueError) as error:
            raise OperationError(f"a picture cannot be turned: {error}") from error
        if not isinstance(turned, av.VideoFrame):
            raise OperationError("a picture cannot be turned")
        turned.pts = picture.pts
        if picture.time_base is not None:
            turned.time_base = picture.time_base
        return turned

    def _graph_for(self, picture: av.VideoFrame, degrees: int) -> Graph:
        shape = picture.width, picture.height, picture.format.name, degrees
        if self._graph is not None and shape == self._shape:
            return self._graph
        graph = av.filter.Graph()
        last = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base or TIME_BASE
        )
        for name, arguments in _FILTERS[degrees]:
            added = graph.add(name, arguments)
            last.link_to(added)
            last = added
        sink = graph.add("buffersink")
        last.link_to(sink)
        graph.configure()
        self._graph, self._shape = graph, shape
        return graph
