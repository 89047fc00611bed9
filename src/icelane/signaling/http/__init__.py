"""Signaling's HTTP surface: TURN credentials, tokens and tickets, the moderation of rooms, health.

    problem         errors as RFC 9457 has them
    caller          who asks, as an endpoint sees it; `Callers` is what finds out
    endpoint        an endpoint, and what stands around all of them: CORS, headers, bounds
    surface         all endpoints of a server, in one table
    credential_endpoints, token_endpoints, room_endpoints, diagnostic_endpoints, document_endpoints, compatibility

Everything is told through small protocols: nothing here knows how callers are authenticated, where rooms are kept, or
which server relays.
"""
