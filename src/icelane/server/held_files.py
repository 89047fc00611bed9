"""What the files that a configuration names held when they were last good, for servers in several processes.

They are read once, at the start and with each reload, by whoever starts the processes; each process goes by that and
not by what the files hold when it happens to start. So all of them go by the same, and one that takes a dead one's
place does not depend on files that somebody is just replacing, or has broken.

    turn.revoked_file       its entries
    tls.certificate, key    the two files
    turn.auth, hooks.*      the source of their modules, or of the packages that the modules are in

What those modules import from elsewhere is read as it is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final, NamedTuple

from icelane.core.net import Transport
from icelane.errors import ConfigurationError
from icelane.server.config import Config
from icelane.server.config.validation import failures_of
from icelane.server.config.values import HookNames
from icelane.server.revoked_file import read_revoked
from icelane.server.tls import PemPair, load_certificate
from icelane.turn.revocation import Revocation

# Of all together. A package that finds no room is not held: it is what is installed, and not what somebody edits on a
# running machine.
MAX_MODULES: Final = 256
MAX_SOURCE_SIZE: Final = 4 << 20


class ModuleSource(NamedTuple):
    """One file of Python. `key` is the setting that needs it."""

    path: str
    source: bytes
    is_package: bool
    key: str


class NamedFunction(NamedTuple):
    """`package.module:function`, and the setting that names it."""

    key: str
    name: str


@dataclass(frozen=True, kw_only=True)
class HeldFiles:
    """See the module. `modules` is by their full names."""

    revoked: frozenset[Revocation] = frozenset()
    certificate: PemPair | None = field(default=None, repr=False)
    modules: Mapping[str, ModuleSource] = field(default_factory=dict, repr=False)


def unusable_files(config: Config, held: HeldFiles) -> list[ConfigurationError]:
    """What is wrong with the files now, that would keep a server from starting."""
    checks: list[Callable[[], object]] = [lambda: read_revoked(config.turn.revoked_file)]
    files = tls_files(config)
    if files is not None:
        checks.append(partial(load_certificate, *files))
    checks += [partial(_compile, one) for one in held.modules.values()]
    return failures_of(*checks)


def tls_files(config: Config) -> tuple[Path, Path] | None:
    """The certificate and its key; None where nobody listens over TLS, without which they are not read."""
    if not any(listener.transport is Transport.TLS for listener in config.listeners) and not any(
        listener.secure for listener in config.server.listen
    ):
        return None
    certificate, key = config.tls.certificate, config.tls.key
    assert certificate is not None, "a configuration with TLS names the files"
    assert key is not None, "a configuration with TLS names the files"
    return certificate, key


def named_functions(config: Config) -> Iterator[NamedFunction]:
    """`turn.auth`, and the hooks that are functions, where there are listeners that need them."""
    if config.turn.auth is not None:
        yield NamedFunction("turn.auth", config.turn.auth)
    if config.server.listen:
        for field_name, value in config.hooks:
            if isinstance(value, HookNames):
                yield from (NamedFunction(f"hooks.{field_name}", name) for name in value if "://" not in name)


def read_modules(
    functions: Iterable[NamedFunction], held: Mapping[str, ModuleSource] = MappingProxyType({})
) -> dict[str, ModuleSource]:
    """The source of the modules that `functions` are in, none of which is run.

    What is in `held` stays as it was: whoever runs it does not import it again. What is too much is left out.
    """
    found: dict[str, ModuleSource] = {}
    for key, name in functions:
        top = name.partition(":")[0].partition(".")[0]
        if top in found:
            continue
        known = {module: one for module, one in held.items() if module.partition(".")[0] == top}
        more = found | (known or _package(top, key))
        if len(more) <= MAX_MODULES and sum(len(one.source) for one in more.values()) <= MAX_SOURCE_SIZE:
            found = more
    return found


def _package(top: str, key: str) -> dict[str, ModuleSource]:
    try:
        spec = importlib.util.find_spec(top)
        paths = _paths(top, spec) if spec is not None else {}
        return {name: _read(path, key) for name, path in paths.items()}
    except (ImportError, ValueError, OSError):
        return {}  # who imports it says what is wrong


def _paths(top: str, spec: ModuleSpec) -> dict[str, Path]:
    if not isinstance(spec.loader, SourceFileLoader):
        return {}
    found = {top: Path(spec.loader.path)}
    for folder in spec.submodule_search_locations or ():
        for path in Path(folder).rglob("*.py"):
            *parents, name = path.relative_to(folder).with_suffix("").parts
            found[".".join((top, *parents, *([] if name == "__init__" else [name])))] = path
            if len(found) > MAX_MODULES:
                return {}
    return found


def _read(path: Path, key: str) -> ModuleSource:
    return ModuleSource(str(path), path.read_bytes(), path.name == "__init__.py", key)


def _compile(held: ModuleSource) -> None:
    try:
        source = Path(held.path).read_bytes()
        if source != held.source:
            compile(source, held.path, "exec", dont_inherit=True)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
    except (SyntaxError, ValueError):
        problem = "is not Python"
    else:
        return
    # Raised out here, so that the exception, which has a line of the file, is no context of ours.
    raise ConfigurationError(problem, key=held.key, file=held.path)


def import_held(modules: Mapping[str, ModuleSource]) -> Mapping[str, ModuleSource]:
    """From now on this process imports these modules as they are held, and no others. Returns those of before."""
    finder = next((one for one in sys.meta_path if isinstance(one, _HeldFinder)), None)
    if finder is None:
        finder = _HeldFinder({})
        sys.meta_path.insert(0, finder)
    before, finder.modules = finder.modules, modules
    return before


class _HeldLoader(SourceFileLoader):
    """Loads a module from its file, but for the file's content."""

    def __init__(self, name: str, held: ModuleSource) -> None:
        super().__init__(name, held.path)
        self._source = held.source

    def get_data(self, path: str) -> bytes:
        return self._source if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, float]:
        del path
        raise OSError("compiled forms on the disk are those of the file")


class _HeldFinder(MetaPathFinder):
    def __init__(self, modules: Mapping[str, ModuleSource]) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        del path, target
        held = self.modules.get(fullname)
        if held is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            held.path,
            loader=_HeldLoader(fullname, held),
            submodule_search_locations=[str(Path(held.path).parent)] if held.is_package else None,
        )
