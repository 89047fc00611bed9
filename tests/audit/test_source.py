"""Rules that the source must keep, read from its syntax tree."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator

import pytest

from icelane.core.clock import UnixSeconds
from icelane.core.net import SocketAddress
from icelane.crypto.provider import SystemEntropy
from icelane.stun.nonce import NonceFactory
from tests.audit.sources import dotted_name, imported_modules, product_modules

MODULES = product_modules()
modules = pytest.mark.parametrize("name", MODULES)

# Who may ask the machine for randomness, and who may read its clocks.
ENTROPY_SOURCE = "crypto/provider.py"
CLOCK_SOURCE = "aio/system.py"

SECRET_NAME = re.compile(r"(^|_)(h?mac|tag|digest|passwords?|tokens?|secrets?)(_|$)", re.IGNORECASE)
CLOCK_READERS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.gmtime",
    "time.localtime", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now",
    "datetime.datetime.utcnow", "datetime.date.today",
}  # fmt: skip


def test_there_is_a_product_to_read() -> None:
    assert {"core/net.py", "stun/message.py", ENTROPY_SOURCE} <= MODULES.keys()


# -- ST-12


@modules
def test_no_module_imports_random(name: str) -> None:
    """ST-12: identifiers, keys, ports and tokens come from Entropy, never from a generator that can be predicted."""
    guilty = [
        (line, what) for line, what in imported_modules(MODULES[name]) if what.split(".")[0] in ("random", "uuid")
    ]
    assert not guilty


@modules
def test_only_the_provider_asks_the_machine_for_randomness(name: str) -> None:
    """ST-12: everybody else is given an Entropy, so that a test can give another one."""
    if name == ENTROPY_SOURCE:
        return
    imported = [what for _, what in imported_modules(MODULES[name])]
    assert not [what for what in imported if what.split(".")[0] == "secrets"]
    assert not [what for what in imported if what in ("os.urandom", "os.getrandom")]
    assert not [
        node.lineno for node in calls(MODULES[name]) if dotted_name(node.func) in ("os.urandom", "os.getrandom")
    ]


def test_seeding_the_predictable_generator_repeats_nothing() -> None:
    """ST-12: what is drawn after random.seed(0) differs from what was drawn after it before."""
    drawn = []
    for _ in range(2):
        random.seed(0)
        entropy = SystemEntropy()
        nonce = NonceFactory(entropy.token(32)).issue(SocketAddress("192.0.2.1", 1), UnixSeconds(1.8e9))
        drawn.append((entropy.token(12), [entropy.below(2**16) for _ in range(8)], nonce))
    assert drawn[0] != drawn[1]
    assert all(first != second for first, second in zip(*drawn, strict=True))


# -- ST-13


# SCTP's verification tags stand in the clear in every packet; what proves the peer is the DTLS around it.
VERIFICATION_TAGS = {"tag", "local_tag", "peer_tag"}


def comparisons(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of everything that looks like a secret and is compared for equality with something unknown."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        operands = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if not isinstance(operator, ast.Eq | ast.NotEq) or isinstance(left, ast.Constant):
                continue
            if isinstance(right, ast.Constant):
                continue  # emptiness and the like
            for operand in (left, right):
                named = dotted_name(operand).rpartition(".")[2]
                if SECRET_NAME.search(named) and not named.isupper():  # a constant of the source is no secret
                    yield node.lineno, named


@modules
def test_no_secret_is_compared_with_equals(name: str) -> None:
    """ST-13: == tells by its time where two values differ; `crypto.provider.equal` does not."""
    public = VERIFICATION_TAGS if name.startswith("sctp/") else set()
    assert not [(line, what) for line, what in comparisons(MODULES[name]) if what not in public]


def test_the_lint_sees_what_it_is_there_for() -> None:
    """ST-13: the lint itself, on lines that it must and must not report."""
    bad = "a.mac == b\nif digest != other: pass\nreturn_value = x == self.session_token\nuser_password == given"
    good = "machine == b\nmac is None\ntag_count < 3\nstage == x\nlen(token) == 3\nlen(x) == TOKEN_SIZE"
    good += "\npassword == ''\nequal(mac, other)"
    assert [line for line, _ in comparisons(ast.parse(bad))] == [1, 2, 3, 4]
    assert not list(comparisons(ast.parse(good)))


# -- OP-7


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Every call of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@modules
def test_only_one_module_reads_a_clock(name: str) -> None:
    """OP-7: time is an argument; calendar time reaches credentials and nonces through WallClock alone."""
    if name == CLOCK_SOURCE:
        return
    assert not [node.lineno for node in calls(MODULES[name]) if dotted_name(node.func) in CLOCK_READERS]
    imported = {what for _, what in imported_modules(MODULES[name])}
    assert not imported & {reader for reader in CLOCK_READERS if reader.startswith("time.")}


# -- habits that no linter knows


@modules
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(MODULES[name])


@pytest.mark.parametrize(
    "package", ["stun", "turn", "ice", "dtls", "sctp", "sdp", "datachannel", "peer", "rtp", "srtp"]
)
def test_a_protocol_package_lists_its_rfcs_and_what_it_leaves_out(package: str) -> None:
    docstring = ast.get_docstring(MODULES[f"{package}/__init__.py"]) or ""
    assert re.search(r"RFC \d{4}", docstring)
    assert "eft out" in docstring


@modules
def test_no_assertion_guards_what_comes_from_the_wire(name: str) -> None:
    """Parsers hold no assert: `python -O` would drop it, and a peer must not be able to reach one."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.FunctionDef) and node.name.lstrip("_").startswith("parse"):
            assert not [inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.Assert)], node.name
