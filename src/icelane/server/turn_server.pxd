# The types of the compiled form.

from icelane.turn.refusal cimport RequestRefused
from icelane.turn.routes cimport (
    AssignRelayPort,
    BindRelayPort,
    BindStreams,
    ClaimRelayPort,
    ClosePeer,
    ConnectPeer,
    InstallChannelRoute,
    InstallPermissionRoute,
    LookUpCredential,
    PassOn,
    ReleaseRelayPort,
    RemoveChannelRoute,
    RemovePermissionRoute,
    ReturnRelayPort,
)
