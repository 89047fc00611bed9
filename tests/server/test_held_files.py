"""What files held when they were last good: how it is kept, and that processes go by it when the files are broken."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from icelane.core.net import Transport
from icelane.errors import ConfigurationError
from icelane.server import held_files
from icelane.server.config import parse_config
from icelane.server.credential_source import load_source
from icelane.server.held_files import (
    HeldFiles,
    ModuleSource,
    NamedFunction,
    import_held,
    named_functions,
    read_modules,
    unusable_files,
)
from icelane.server.tls import PemPair, ServerTls, load_certificate, load_held
from icelane.server.workers.supervisor import Supervisor
from icelane.turn.revocation import Revocation
from tests import certificates
from tests.loops import Run
from tests.server.clients import PASSWORD, USER, Client, Refused, _TcpLink, address_on, settings
from tests.server.workers.test_supervisor import WORKERS, end, shared_settings, worker_of

needs_linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="several processes need Linux")

AUTH = """\
from icelane.server.credential_source import Password

async def find(query):
    return Password("swordfish") if query.username == "zoe" else None
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where modules are found; what was imported from there is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    finders, before = sys.meta_path[:], set(sys.modules)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    importlib.invalidate_caches()


def modules_of(*names: str, held: Mapping[str, ModuleSource] = MappingProxyType({})) -> dict[str, ModuleSource]:
    return read_modules([NamedFunction("turn.auth", name) for name in names], held)


def test_a_module_is_imported_as_it_was_held(folder: Path) -> None:
    write(folder / "held_alone.py", AUTH)
    import_held(modules_of("held_alone:find"))
    write(folder / "held_alone.py", "this is ( no Python")
    assert asyncio.iscoroutinefunction(load_source("held_alone:find"))
    assert sys.modules["held_alone"].__file__ == str(folder / "held_alone.py")
    assert not (folder / "__pycache__").exists()


def test_a_package_is_held_as_a_whole_and_nothing_of_it_is_run_for_that(folder: Path) -> None:
    package = folder / "held_package"
    write(package / "__init__.py", "raise SystemExit('nobody imports it yet')\n")
    write(package / "users" / "__init__.py", "from .table import BOOK\n")
    write(package / "users" / "table.py", "BOOK = {'zoe': 'swordfish'}\n")
    write(package / "source.py", "from held_package.users import BOOK\n" + AUTH)
    held = modules_of("held_package.source:find")
    assert sorted(held) == ["held_package", "held_package.source", "held_package.users", "held_package.users.table"]
    assert "held_package" not in sys.modules
    import_held(held | {"held_package": held["held_package"]._replace(source=b"")})
    for path in package.rglob("*.py"):
        path.unlink()
    assert asyncio.iscoroutinefunction(load_source("held_package.source:find"))
    assert sys.modules["held_package.users.table"].__dict__["BOOK"] == {"zoe": "swordfish"}


@pytest.mark.parametrize("auth", [None, "no.such.module:find", "sys:find", "json:find"])
def test_what_cannot_be_held_is_left_to_whoever_imports_it(auth: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_files, "MAX_MODULES", 3)  # json has more
    assert modules_of(*([] if auth is None else [auth])) == {}


def test_a_module_that_is_too_large_is_not_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "held_large.py", AUTH)
    monkeypatch.setattr(held_files, "MAX_SOURCE_SIZE", len(AUTH))
    assert modules_of("held_large:find")
    monkeypatch.setattr(held_files, "MAX_SOURCE_SIZE", len(AUTH) - 1)
    assert modules_of("held_large:find") == {}


def test_what_finds_no_room_beside_others_is_not_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("held_first", "held_second"):
        write(folder / f"{name}.py", AUTH)
    names = ("held_first:find", "held_second:find", "held_first:other")
    assert list(modules_of(*names)) == ["held_first", "held_second"]
    monkeypatch.setattr(held_files, "MAX_MODULES", 1)
    assert list(modules_of(*names)) == ["held_first"]


def test_a_reload_reads_what_is_new_and_leaves_what_runs_already(folder: Path) -> None:
    for name in ("held_old", "held_new"):
        write(folder / f"{name}.py", AUTH)
    before = modules_of("held_old:find")
    write(folder / "held_old.py", "broken (")
    after = modules_of("held_old:find", "held_new:find", held=before)
    assert after["held_old"].source == AUTH.encode()
    assert list(after) == ["held_old", "held_new"]
    assert list(modules_of("held_new:find", held=after)) == ["held_new"]
    import_held(before)
    finders = len(sys.meta_path)
    import_held(after)
    assert len(sys.meta_path) == finders
    write(folder / "held_new.py", "broken (")
    assert asyncio.iscoroutinefunction(load_source("held_new:find"))


def test_hooks_are_held_where_there_is_somebody_to_ask_about(folder: Path) -> None:
    write(folder / "held_hook.py", "async def join(event):\n    return None\n")
    hooks = {"before_join": ["held_hook:join", "https://app.example.org/hook"]}
    without = settings(auth="held_users:find")
    assert [one.key for one in named_functions(without)] == ["turn.auth"]
    document = {"hooks": hooks, "server": {"listen": ["http://127.0.0.1:0"], "public_url": "https://call.example.org"}}
    assert list(named_functions(parse_config(document))) == [NamedFunction("hooks.before_join", "held_hook:join")]
    held = HeldFiles(modules=read_modules(named_functions(parse_config(document))))
    write(folder / "held_hook.py", "broken (")
    [problem] = unusable_files(parse_config(document), held)
    assert (problem.key, problem.file) == ("hooks.before_join", str(folder / "held_hook.py"))


def test_what_is_wrong_with_the_files_names_key_and_file_and_tells_nothing_of_them(folder: Path) -> None:
    pair, revoked, module = certificates.good(folder), folder / "revoked", folder / "held_broken.py"
    revoked.write_text("bob\n")
    write(module, AUTH)
    config = settings(
        tls=pair.section(), listen=["tls://127.0.0.1:0"], revoked_file=str(revoked), auth="held_broken:find"
    )
    held = HeldFiles(modules=modules_of("held_broken:find"))
    assert unusable_files(config, held) == []
    for path in (pair.certificate, revoked, module):
        path.write_text("secret = (" + "x" * 600)
    found = unusable_files(config, held)
    assert [(one.key, one.file) for one in found] == [
        ("turn.revoked_file", str(revoked)),
        ("tls.certificate", str(pair.certificate)),
        ("turn.auth", str(module)),
    ]
    assert not any("secret" in str(one) for one in found)
    module.unlink()
    assert "cannot be read" in str(unusable_files(config, held)[-1])
    # Without a listener over TLS nobody reads the certificate.
    plain = settings(tls=pair.section(), listen=["udp://127.0.0.1:0"])
    assert unusable_files(plain, HeldFiles()) == []


def test_nothing_secret_is_in_what_is_shown_of_it(tmp_path: Path) -> None:
    pair = certificates.good(tmp_path)
    loaded = load_certificate(pair.certificate, pair.key)
    assert loaded.pair.key == pair.key.read_bytes()
    shown = repr(HeldFiles(revoked=frozenset({Revocation(name="bob")}), certificate=loaded.pair)) + repr(loaded)
    assert "PRIVATE KEY" not in shown
    assert "CERTIFICATE" not in shown


@needs_linux
def test_a_certificate_is_loaded_from_what_was_held_as_from_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair, other = certificates.good(tmp_path), certificates.good(tmp_path, file="other")
    held, next_one = (load_certificate(one.certificate, one.key).pair for one in (pair, other))
    open_before = len(os.listdir("/proc/self/fd"))
    tls = ServerTls(pair.certificate, pair.key, held=held)
    assert tls.certificate.names == (certificates.NAME,)
    context = tls.context
    assert tls.take(held)
    assert tls.context is context  # nothing new
    assert tls.take(next_one)
    assert tls.certificate.pair == next_one
    assert tls.context is not context
    with pytest.raises(ConfigurationError):
        load_held(PemPair(held.certificate, next_one.key))
    assert not tls.take(PemPair(held.certificate, next_one.key))
    assert [record.getMessage() for record in caplog.records] == ["tls.certificate_rejected"]
    assert tls.certificate.pair == next_one
    assert len(os.listdir("/proc/self/fd")) == open_before


async def shown(server: Supervisor) -> list[bytes | None]:
    """The certificate that each process shows, in their order."""
    found: dict[int, bytes | None] = {}
    while len(found) < WORKERS:
        client = await Client.allocated(address_on(server, Transport.TLS), Transport.TLS)
        assert isinstance(client._link, _TcpLink)
        certificate = client._link.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        found[worker_of(server, client)] = certificate
        client.close()
    return [found[index] for index in range(WORKERS)]


@needs_linux
def test_a_worker_is_replaced_while_the_files_are_broken(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OP-5, TR-12: the new one has the certificate, the revocations and the users of the others; one record says so."""
    pair, revoked, module = certificates.good(folder), folder / "revoked", folder / "held_users.py"
    revoked.write_text("bob\n")
    write(module, AUTH)
    config = shared_settings(
        tls=pair.section(), users={USER: PASSWORD, "bob": "hunter2"}, revoked_file=str(revoked), auth="held_users:find"
    )

    async def scenario() -> None:
        async with Supervisor(config, WORKERS) as server:
            certificate, *others = await shown(server)
            assert others == [certificate]
            for path in (pair.certificate, revoked, module):
                path.write_text("broken (" * 100)
            with caplog.at_level(logging.ERROR, "icelane.server"):
                await end(server, 0)
            (record,) = [record for record in caplog.records if record.getMessage() == "worker.held_files"]
            assert [record.__dict__["worker"], len(record.__dict__["problems"])] == [0, 3]
            assert await shown(server) == [certificate] * WORKERS
            where, met = address_on(server, Transport.UDP), set[int]()
            while len(met) < WORKERS:
                met.add(worker_of(server, await Client.allocated(where, username="zoe", password="swordfish")))
            for _ in range(8):  # that all of them meet one process has a chance of 1 in 128
                with pytest.raises(Refused) as refused:
                    await Client.allocated(where, username="bob", password="hunter2")
                assert refused.value.code == 401

    run(scenario())


@needs_linux
def test_a_worker_goes_by_files_that_were_reloaded_and_by_no_others(run: Run, tmp_path: Path) -> None:
    """One server shows one certificate: a new file counts with the reload, in every process."""
    pair, other = certificates.good(tmp_path), certificates.good(tmp_path, file="other")
    config = shared_settings(tls=pair.section())

    async def scenario() -> None:
        async with Supervisor(config, WORKERS) as server:
            old = (await shown(server))[0]
            for path, source in ((pair.certificate, other.certificate), (pair.key, other.key)):
                path.write_bytes(source.read_bytes())
            await end(server, 0)
            assert await shown(server) == [old] * WORKERS
            assert (await server.reload(config)).certificate
            new = (await shown(server))[0]
            assert new != old
            pair.key.write_text("broken")
            assert not (await server.reload(config)).certificate
            await end(server, 1)
            assert await shown(server) == [new] * WORKERS

    run(scenario())


@needs_linux
def test_a_worker_is_replaced_when_the_files_are_not_named_any_more(run: Run, tmp_path: Path) -> None:
    """OP-5: listeners over TLS go with the restart, and until then each process needs the certificate."""
    config = shared_settings(tls=certificates.good(tmp_path).section())
    without = shared_settings(listen=[str(one) for one in config.listeners if one.transport is not Transport.TLS])

    async def scenario() -> None:
        async with Supervisor(config, WORKERS) as server:
            certificate, *_ = await shown(server)
            result = await server.reload(without)
            assert result.restart == ("turn.listen", "tls.certificate", "tls.key")
            await end(server, 0)
            assert await shown(server) == [certificate] * WORKERS

    run(scenario())
