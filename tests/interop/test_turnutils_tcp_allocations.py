"""coturn's test client with TCP allocations (RFC 6062) against `icelane serve`: two clients that reach each other."""

from __future__ import annotations

import pytest

from tests.interop.conftest import need_program
from tests.interop.relay_server import PASSWORD, SECRET, USER, RelayServer
from tests.interop.uclient import PACKAGE, run_uclient

pytestmark = pytest.mark.interop

# The client cuts what it reads over a data connection, responses included, to the length of its messages; ours are
# longer than the 100 bytes that it takes by default.
FLAGS = ("-T", "-n", "10", "-m", "1", "-l", "200", "-g")
CREDENTIALS = {
    "static user": ("-u", USER, "-w", PASSWORD),
    "REST secret": ("-u", USER, "-W", SECRET),
}


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("secure", [False, True], ids=["TCP", "TLS"])
def test_everything_that_uclient_sends_by_tcp_comes_back(
    icelane_servers: RelayServer, credentials: tuple[str, ...], secure: bool
) -> None:
    executable = need_program("turnutils_uclient", PACKAGE)
    server = icelane_servers
    flags = [*FLAGS, *credentials, *(("-S",) if secure else ())]
    totals = run_uclient(executable, server.host, server.tls_port if secure else server.port, flags)
    assert totals.passed, f"{totals.output[-4000:]}\n--- the server said:\n{server.program.said()}"
