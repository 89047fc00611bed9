"""Admission: who may enter, and what he may do then. `control` has the pipeline.

    request       what came in; Allow and Deny, which hooks answer with
                  of it: headers, forwarded (who it is behind proxies), origin
    credential    which of the things shown counts; json_web_token, key_set, signing_key, join_token; api_key;
                  session_cookie; ticket
    hook          functions and webhooks, and what keeps them from harming anybody; webhook, webhook_reply; notice
    rate          how often, and how many at a time
    refusal       each no in the words of the protocol

Lists of who may come are in `icelane.turn.access_list`, because the relay goes by the same ones.
"""

from __future__ import annotations

from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
from icelane.signaling.admission.join_token import TokenSigner, create_token
from icelane.signaling.admission.json_web_token import TrustedIssuer
from icelane.signaling.admission.rate import Rate, RateSettings
from icelane.signaling.admission.request import (
    Allow,
    Connected,
    ConnectRequest,
    Deny,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
    TlsFacts,
)
from icelane.signaling.admission.session_cookie import csrf_value, set_cookie
from icelane.signaling.admission.webhook import is_signed

__all__ = [
    "AdmissionControl",
    "AdmissionSettings",
    "AdmissionHooks",
    "TrustedIssuer",
    "RateSettings",
    "Rate",
    "ConnectRequest",
    "TlsFacts",
    "Allow",
    "Deny",
    "JoinRequest",
    "MessageRequest",
    "IceRequest",
    "Connected",
    "Left",
    "TokenSigner",
    "create_token",
    "is_signed",
    "set_cookie",
    "csrf_value",
]
