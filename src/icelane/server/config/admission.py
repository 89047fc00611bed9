"""The tables `[auth]`, `[hooks]`, `[lists]` and `[limits]`: who may enter, and how much of everything they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, SecretStr

from icelane.crypto.api_key import parse_api_key
from icelane.server.config.section import (
    EMPTY,
    AsList,
    Count,
    FileName,
    Rate,
    Secret,
    Section,
    Switch,
    Unique,
    optional,
    read_only,
    setting,
    strong,
)
from icelane.server.config.values import (
    DurationValue,
    HookNames,
    parse_access,
    parse_cache_time,
    parse_cookie_name,
    parse_header_name,
    parse_hooks,
    parse_https_url,
    parse_kid,
)

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"]

MIN_SIGNING_BYTES = 32
"""RFC 7518 section 3.2 wants as many bytes as the hash has."""

MAX_ISSUERS = 256
MAX_API_KEYS = 256


def _signs(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < MIN_SIGNING_BYTES:
        raise ValueError(f"a secret that signs tokens has at least {MIN_SIGNING_BYTES} bytes; `icelane keys new`")
    return strong(secret)


def _hashed(key: SecretStr) -> SecretStr:
    """From here on nobody has the key itself."""
    return SecretStr(parse_api_key(key.get_secret_value()))


def _few(keys: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    if len(keys) > MAX_API_KEYS:
        raise ValueError(f"at most {MAX_API_KEYS} keys")
    return read_only(keys)


Hooks = Annotated[HookNames, PlainValidator(parse_hooks)]
AccessList = Annotated[tuple[Annotated[str, PlainValidator(parse_access)], ...], AsList, Unique]


class JwtSettings(Section):
    """One entry of `[[auth.jwt]]`: whose tokens count."""

    issuer: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="The `iss` of the tokens. Several entries may name one issuer, each with a `kid` of its own.",
        json_schema_extra={"kind": "text"},
    )
    algorithm: Algorithm = Field(
        description="The one `alg` that these tokens may have, pinned beside the key, so that none can choose another.",
        json_schema_extra={"kind": "`HS256`, `HS384`, `HS512`, `RS256`, `RS384`, `RS512`, `ES256`, `ES384` or `EdDSA`"},
    )
    secret: Annotated[SecretStr | None, AfterValidator(optional(_signs))] = setting(
        None,
        kind="text",
        secret=True,
        shown="none; needed for `HS` algorithms",
        doc="What both ends know, at least 32 bytes: `icelane keys new` prints one.",
    )
    public_key: FileName = setting(
        None,
        kind="file name",
        shown="none; needed for the other algorithms, unless `jwks_url` is given",
        doc="A PEM file with the issuer's public key. A relative name is relative to the configuration file.",
    )
    private_key: FileName = setting(
        None,
        kind="file name",
        shown="none: this server makes no tokens by this entry",
        doc="A PEM file with the private key that belongs to `public_key`, for `icelane token create` and"
        " `POST /v1/tokens`. With an `HS` algorithm the secret is enough.",
    )
    jwks_url: Annotated[str | None, PlainValidator(parse_https_url)] = setting(
        None,
        kind="URL",
        shown="none",
        doc="Where the issuer publishes its keys (RFC 7517). They are fetched again every five minutes, and for a `kid`"
        " that is not among them, at most every 30 s; while the issuer is down the last ones count for a day.",
    )
    kid: Annotated[str | None, PlainValidator(optional(parse_kid))] = setting(
        None,
        kind="text",
        shown="none: tokens with any `kid` are held against this key",
        doc="The `kid` that tokens of this entry have. Give one to rotate: put the new entry before the old one, and"
        " take that out when its last token has expired. The first entry that can sign makes new tokens.",
    )
    audience: Annotated[str, Field(min_length=1, max_length=256)] = setting(
        "icelane",
        kind="text",
        doc="The `aud` that tokens must have, as one text and not in a list, so that a token for somebody else does not"
        " count here.",
    )


def _distinct(entries: tuple[JwtSettings, ...]) -> tuple[JwtSettings, ...]:
    if len(entries) > MAX_ISSUERS:
        raise ValueError(f"at most {MAX_ISSUERS} entries")
    names = [(entry.issuer, entry.kid) for entry in entries]
    for index, (issuer, kid) in enumerate(names):
        if (issuer, kid) in names[:index]:
            raise ValueError(f"{issuer} has two entries with {'the kid ' + kid if kid else 'no kid'}")
    for entry in entries:
        _check_keys(entry)
    return entries


def _check_keys(entry: JwtSettings) -> None:
    """Raises ValueError for an entry without the key that its algorithm needs, or with one too many."""
    shared = entry.algorithm.startswith("HS")
    given = [name for name in ("secret", "public_key", "jwks_url") if getattr(entry, name) is not None]
    wanted = "secret" if shared else "public_key or jwks_url"
    if len(given) != 1 or (given[0] == "secret") != shared:
        raise ValueError(
            f"{entry.issuer}: {entry.algorithm} takes {wanted} and nothing else of the three, not"
            f" {' and '.join(given) or 'nothing'}"
        )


class AuthSettings(Section):
    """`[auth]`: by what somebody is known who connects to signaling."""

    api_keys: Annotated[Mapping[str, Annotated[SecretStr, AfterValidator(_hashed)]], AfterValidator(_few)] = setting(
        EMPTY,
        kind="table of keys",
        secret=True,
        doc="Programs of yours by name, each with `sha256:HEX` of its key, as `icelane keys new --for api-key` prints"
        " it, or the key itself, of at least 128 bits. They make tokens, take credentials back and rule rooms.",
    )
    jwt: Annotated[tuple[JwtSettings, ...], AsList, AfterValidator(_distinct)] = setting(
        (),
        kind="list of tables",
        secret=True,
        doc="Whose join tokens count. Without one, and without `hooks.before_connect`, nobody but an API key enters.",
    )
    cookie: Annotated[str | None, PlainValidator(optional(parse_cookie_name))] = setting(
        None,
        kind="text",
        shown="none",
        doc="The name of a cookie that holds a join token, such as `__Host-icelane`. It counts beside an Origin of"
        " `server.allowed_origins` and its CSRF value alone: base64url of SHA-256 of `icelane-csrf:` and the cookie, in"
        " `X-CSRF-Token`, as the sub-protocol `csrf.VALUE`, or as the token of `hello`.",
    )
    dangerously_accept_tokens_in_urls: Switch = setting(
        False,
        kind="true or false",
        doc="Whether `?token=` counts. URLs stand in the logs of every proxy on the way; a ticket, good once within a"
        " minute, does the same without that.",
    )


HOOK_KEYS = ("before_connect", "before_join", "before_message", "before_ice", "on_connected", "on_left")
"""The keys of `[hooks]` that name functions and URLs."""


class HookSettings(Section):
    """`[hooks]`: what your own program has to say."""

    before_connect: Hooks = setting(
        HookNames(),
        kind="function, URL, or a list of both",
        shown="none",
        doc="`package.module:function`, an `async def`, or a URL; or a list of two. Asked about everybody who connects,"
        " after his token was verified. It gets a `ConnectRequest` and answers"
        " with `Allow` or `Deny`. No answer within a second, or none that makes sense, lets nobody in. With two, each"
        " may refuse, and the second refines what the first allows.",
    )
    before_join: Hooks = setting(
        HookNames(), kind="function, URL, or a list of both", shown="none", doc="Asked before somebody joins a room."
    )
    before_message: Hooks = setting(
        HookNames(),
        kind="function, URL, or a list of both",
        shown="none",
        doc="Asked about each `signal` and `message` before it is passed on. A webhook makes every one of them wait for"
        " a round trip.",
    )
    before_ice: Hooks = setting(
        HookNames(),
        kind="function, URL, or a list of both",
        shown="none",
        doc="Asked before TURN credentials are made; it may put another ICE policy in place, such as relay only.",
    )
    on_connected: Hooks = setting(
        HookNames(),
        kind="function, URL, or a list of both",
        shown="none",
        doc="Told that a session has begun. In order, best effort, and nobody waits for it.",
    )
    on_left: Hooks = setting(
        HookNames(), kind="function, URL, or a list of both", shown="none", doc="Told that a session is over, and why."
    )
    secret: Annotated[Secret | None, Field()] = setting(
        None,
        kind="text",
        secret=True,
        shown="none: requests are not signed",
        doc="What webhooks are signed with: `Icelane-Signature: t=UNIX,v1=HEX`, the HMAC-SHA256 of the time, a dot, and"
        " the body.",
    )
    dangerously_post_in_clear: Switch = setting(
        False,
        kind="true or false",
        doc="Whether webhooks may be `http://` to another machine. They carry the tokens and addresses of users, and"
        " whoever is on the way can let anybody in.",
    )
    headers: Annotated[tuple[Annotated[str, PlainValidator(parse_header_name)], ...], AsList, Unique] = setting(
        (),
        kind="list of names",
        doc="Headers of the client that webhooks are told, such as `User-Agent`. Those that carry credentials never"
        " travel.",
    )
    cache: Annotated[DurationValue, PlainValidator(parse_cache_time)] = setting(
        DurationValue(10),
        kind="duration",
        doc="How long `before_connect` is not asked again about the same token from the same address with the same"
        " request that it has allowed; a minute at most, `0s` asks each time.",
    )


class ListSettings(Section):
    """`[lists]`: who may come at all, to signaling and to the relay."""

    allow: AccessList = setting(
        (),
        kind="list of entries",
        doc="Addresses (`203.0.113.0/24`, `2001:db8::1`, `10.0.0.1-10.0.0.9`), countries (`country:NO`) and identities"
        " (`identity:alice`, `identity:team-*`). Once it names places, clients have to be at one of them; once it names"
        " identities, they have to be one of them. Empty allows everybody. Lists are read again on reload, and files"
        " also when they change; who is connected and may not be any more is closed within five seconds.",
    )
    deny: AccessList = setting(
        (), kind="list of entries", doc="The same; whoever is in it is refused whatever `lists.allow` says."
    )
    allow_file: FileName = setting(
        None,
        kind="file name",
        shown="none",
        doc="Further entries of `lists.allow`, one a line; what follows a `#` is a remark. A file that is broken leaves"
        " the lists as they were, and the log says so.",
    )
    deny_file: FileName = setting(None, kind="file name", shown="none", doc="Further entries of `lists.deny`.")
    countries: FileName = setting(
        None,
        kind="file name",
        shown="none; needed for `country:`",
        doc="An MMDB file that tells the country of an address, such as GeoLite2-Country or DB-IP's; it is yours to get"
        " and to renew. Needs `pip install 'icelane[geo]'`.",
    )


class LimitSettings(Section):
    """`[limits]`: how often, and how many at a time, in signaling."""

    connects_per_minute_per_address: Rate = setting(
        60,
        kind="number",
        doc="Connections and requests from one address, IPv6 counted by /64, in a minute, a sixth of them at once;"
        " above that 429 with the wait. Everybody behind one NAT shares it; requests with an API key are not counted."
        " 0 is no limit.",
    )
    connects_per_second: Rate = setting(
        200, kind="number", doc="The same of everybody together, five times that at once. 0 is no limit."
    )
    connections_per_address: Count = setting(100, kind="number", doc="WebSockets of one address at a time.")
    connections_total: Count = setting(20_000, kind="number", doc="WebSockets of everybody at a time.")
    connects_per_minute_per_identity: Rate = setting(
        60, kind="number", doc="Connections of one user in a minute, wherever from. 0 is no limit."
    )
    credentials_per_minute_per_identity: Rate = setting(
        60, kind="number", doc="TURN credentials that one user gets in a minute. 0 is no limit."
    )
    messages_per_second: Rate = setting(
        50,
        kind="number",
        doc="Frames of one connection, and `signal` and `message` frames each of one user, in a second, four times that"
        " at once; above that 4429 with the wait. 0 is no limit for the user.",
    )
    messages_per_second_per_room: Rate = setting(
        1000,
        kind="number",
        doc="Frames that are sent into one room in a second, four times that at once. 0 is no limit.",
    )
    joins_per_second: Rate = setting(
        2,
        kind="number",
        doc="Joins of one user in a second, and as many updates of what he says of himself, sixteen times that at "
        "once. 0 is no limit.",
    )
    peers_per_room: Count = setting(100, kind="number", doc="Members of a room; the next one gets `room_full`.")
    rooms_per_session: Count = setting(32, kind="number", doc="Rooms that one connection is in at a time.")
    sessions_per_identity: Count = setting(
        1, kind="number", doc="Sessions of one user at a time; a newer one supersedes the oldest, which gets 4409."
    )
