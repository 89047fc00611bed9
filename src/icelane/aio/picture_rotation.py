"""Turning pictures upright: a camera that is held on its side says so beside the pictures (3GPP TS 26.114, 7.4.5)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from icelane.media.pyav import av

if TYPE_CHECKING:
    from av.filter import Graph

_FILTERS: Final = {90: (("transpose", "clock"),), 180: (("hflip", ""), ("vflip", "")), 270: (("transpose", "cclock"),)}


class PictureRotation:
    """Turns the pictures of one stream. For one thread at a time."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._made_for: tuple[int, int, str, int] | None = None

    def upright(self, picture: av.VideoFrame, degrees: int) -> av.VideoFrame:
        """`picture` turned clockwise by 0, 90, 180 or 270 degrees; itself for 0 and for anything else."""
        if degrees not in _FILTERS:
            return picture
        wanted = picture.width, picture.height, picture.format.name, degrees
        if self._graph is None or wanted != self._made_for:
            self._graph, self._made_for = _graph(picture, degrees), wanted
        self._graph.push(picture)
        turned = self._graph.pull()
        if not isinstance(turned, av.VideoFrame):
            return picture
        turned.pts = picture.pts
        if picture.time_base is not None:
            turned.time_base = picture.time_base
        return turned


def _graph(picture: av.VideoFrame, degrees: int) -> Graph:
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, 90_000),
    )
    for name, argument in _FILTERS[degrees]:
        turn = graph.add(name, argument)
        last.link_to(turn)
        last = turn
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
