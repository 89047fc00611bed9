"""Files for a container: how its image is made, and a compose file that runs it on the host's network."""

from __future__ import annotations

from typing import Final

from icelane.server.config.values import PortRange

DOCKERFILE: Final = "Dockerfile"
COMPOSE: Final = "compose.yaml"
IGNORED: Final = ".dockerignore"

USER: Final = 10001
"""Whom the server runs as inside; the configuration has to be readable for this number."""

RELAY_PORTS: Final = PortRange(49160, 49199)
"""For forty allocations. One published UDP port is a process or a rule of the engine each, so there are few."""

_CONFIGURATION: Final = "/etc/icelane/icelane.toml"

_DOCKERFILE: Final = """\
# icelane in a container. Build it beside a directory `wheels` with the wheel of icelane: `make wheels` in a clone makes
# it, in `dist`, for the Python that runs there, and FROM has to name the same one. The first stage has pip and its
# leftovers, the second one only what runs.
FROM python:{python}-slim AS build
COPY wheels/ /wheels/
RUN python -m venv /opt/icelane \\
    && /opt/icelane/bin/pip install --no-cache-dir "$(ls /wheels/icelane-*.whl)[server]"

FROM python:{python}-slim
COPY --from=build /opt/icelane /opt/icelane
RUN groupadd --system --gid {user} icelane \\
    && useradd --system --uid {user} --gid {user} --no-create-home --home-dir /var/lib/icelane \\
        --shell /usr/sbin/nologin icelane \\
    && install -d -o icelane -g icelane -m 0700 /var/lib/icelane
ENV PATH=/opt/icelane/bin:$PATH \\
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/icelane
# Not root, by its number, so that a runtime can see it.
USER {user}:{user}
EXPOSE 3478/udp 3478/tcp 5349/tcp {first}-{last}/udp
# Not `--ready`: a server that drains must not be killed for it. It asks at metrics.listen.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \\
    CMD ["icelane", "health", "-c", "{configuration}"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["icelane"]
CMD ["serve", "-c", "{configuration}", "--log-format", "json"]
"""

_COMPOSE: Final = """\
# icelane by `docker compose up -d` or `podman compose up -d`.
services:
  icelane:
    build: .
    image: icelane
    # The host's network: a bridge hides the clients' addresses from the server, which then tells all of them the same
    # one, and each published UDP port costs the engine a process or a rule.
    network_mode: host
    # With a bridge in its place: take the line above out, name the host's public address for the container's own one in
    # turn.external_addresses, and publish what `relay_ports` says and not more.
    # ports:
    #   - "3478:3478/udp"
    #   - "3478:3478/tcp"
    #   - "5349:5349/tcp"
    #   - "{first}-{last}:{first}-{last}/udp"
    volumes:
      # Readable for the user inside: chown {user} icelane.toml
      - ./icelane.toml:{configuration}:ro
    user: "{user}:{user}"
    read_only: true
    tmpfs:
      - /tmp
    cap_drop:
      - ALL
    security_opt:
      - no-new-privileges:true
    ulimits:
      nofile: 65536
    restart: unless-stopped
    # Above turn.drain_deadline: calls go on until then.
    stop_grace_period: 11m
"""

_IGNORED: Final = """\
# Nothing but the wheel goes to the builder, and no configuration with its secrets.
*
!wheels
"""


def container_files(python: tuple[int, int]) -> dict[str, str]:
    """The texts by their file names. The configuration beside them is `starting_configuration` with RELAY_PORTS.

    `python` is the version, as (3, 13), that the wheel was built for: another one does not take it.
    """
    fields = {
        "python": "{}.{}".format(*python),
        "user": USER,
        "first": RELAY_PORTS.first,
        "last": RELAY_PORTS.last,
        "configuration": _CONFIGURATION,
    }
    return {
        DOCKERFILE: _DOCKERFILE.format(**fields),
        COMPOSE: _COMPOSE.format(**fields),
        IGNORED: _IGNORED,
    }
