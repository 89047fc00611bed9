"""What the files that a configuration names held when they were last good, for servers in several processes.

They are read once, at the start and with each reload, by whoever starts the processes; each process goes by that and
not by what the files hold when it happens to start. So all of them go by the same, and one that takes a dead one's
place does not depend on files that somebody is just replacing, or has broken.

    turn.revoked_file       its entries
    tls.certificate, key    the two files
    turn.auth               the source of its module, or of the package that the module is in

What those modules import from elsewhere is read as it is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from icelane.core.net import Transport
from icelane.errors import ConfigurationError
from icelane.server.config import Config
from icelane.server.config.validation import failures_of
from icelane.server.revoked_file import read_revoked
from icelane.server.tls import PemPair, load_certificate
from icelane.turn.revocation import Revocation

# A package that is larger is not held: it is what is installed, and not what somebody edits on a running machine.
MAX_MODULES: Final = 256
MAX_SOURCE_SIZE: Final = 4 << 20
_AUTH: Final = "turn.auth"


class ModuleSource(NamedTuple):
    """One file of Python."""

    path: str
    source: bytes
    is_package: bool


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


def read_modules(auth: str | None) -> dict[str, ModuleSource]:
    """The source of the modules of `turn.auth`, none of which is run. Empty where there is none, or too much of it."""
    if auth is None:
        return {}
    top = auth.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
        paths = _paths(top, spec) if spec is not None else {}
        found = {name: _read(path) for name, path in paths.items()}
    except (ImportError, ValueError, OSError):
        return {}  # who imports it says what is wrong
    return found if sum(len(one.source) for one in found.values()) <= MAX_SOURCE_SIZE else {}


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


def _read(path: Path) -> ModuleSource:
    return ModuleSource(str(path), path.read_bytes(), path.name == "__init__.py")


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
    raise ConfigurationError(problem, key=_AUTH, file=held.path)


def import_held(modules: Mapping[str, ModuleSource]) -> None:
    """From now on this process imports these modules as they are held."""
    if modules:
        sys.meta_path.insert(0, _HeldFinder(modules))


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
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        del path, target
        held = self._modules.get(fullname)
        if held is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            held.path,
            loader=_HeldLoader(fullname, held),
            submodule_search_locations=[str(Path(held.path).parent)] if held.is_package else None,
        )
