"""RTCP packets, compound and reduced-size: `parse_rtcp` and `serialize_rtcp`, and a record for each kind.

Each module has the records of one family with their codec; `compound` has what they have in common on the wire.
"""

from icelane.rtp.rtcp.compound import MAX_PACKETS, RtcpPacket, parse_rtcp, serialize_rtcp
from icelane.rtp.rtcp.extended_report import ExtendedReport, ExtendedReportBlock
from icelane.rtp.rtcp.feedback import (
    FullIntraRequest,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
)
from icelane.rtp.rtcp.record import UnknownRtcp
from icelane.rtp.rtcp.report import ReceiverReport, ReportBlock, SenderReport
from icelane.rtp.rtcp.source_description import Bye, SourceChunk, SourceDescription
from icelane.rtp.rtcp.transport_feedback import TransportFeedback, feedback_from_arrivals

__all__ = [
    "RtcpPacket",
    "parse_rtcp",
    "serialize_rtcp",
    "SenderReport",
    "ReceiverReport",
    "ReportBlock",
    "SourceDescription",
    "SourceChunk",
    "Bye",
    "Nack",
    "PictureLossIndication",
    "FullIntraRequest",
    "ReceiverEstimatedMaximumBitrate",
    "TransportFeedback",
    "feedback_from_arrivals",
    "ExtendedReport",
    "ExtendedReportBlock",
    "UnknownRtcp",
    "MAX_PACKETS",
]
