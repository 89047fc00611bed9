"""Hands the compiled modules to setuptools; everything else stands in pyproject.toml."""

import os
import pathlib
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# An isolated build does not have the project on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from build_ext import extension_modules, remove_compiled_forms_of


class BuildWhatCompiles(build_ext):
    """The build_ext command, for which a compiler that cannot be started is no worse than one that fails."""

    def finalize_options(self) -> None:
        """Compile on every processor, unless the command line says otherwise."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        """Compile one module; when it is optional and there is no compiler, warn and go on."""
        if self.inplace or self.editable_mode:
            remove_compiled_forms_of(ext.name)
        try:
            super().build_extension(ext)
        except OSError as error:
            if not ext.optional:
                raise
            self.warn(f"{ext.name} stays pure Python: {error}")


setup(ext_modules=extension_modules(), cmdclass={"build_ext": BuildWhatCompiles})
