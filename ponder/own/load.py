"""Modules made of the texts of own files. Only processes that may be killed load them: workers, and `child`.

A finder stands before all others and serves just those names that the texts import, so that what runs is what was read,
and no other file beside an own one can hide a standard module.
"""

import importlib.util
import linecache
import sys
from collections.abc import Callable, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from ponder.own.code import Module, OwnCode
from ponder.recipe.own import OwnName

__all__ = ["Loaded"]


class Loaded(MetaPathFinder, InspectLoader):
    """The own code of this process, loaded as it is asked for."""

    def __init__(self, code: OwnCode) -> None:
        self.code = code
        self.paths = frozenset(module.path for module in code.modules.values())
        for module in code.modules.values():  # tracebacks show the lines that were read
            lines = module.text.splitlines(keepends=True)
            linecache.cache[module.path] = (len(module.text), None, lines, module.path)
        sys.meta_path.insert(0, self)

    def function(self, name: OwnName) -> Callable[..., Any]:
        """The function of that name; raises whatever loading its file raises, and LookupError without it."""
        module = self.module(name.file)
        if name.function not in vars(module):
            raise LookupError(name.function)
        found: Callable[..., Any] = vars(module)[name.function]
        return found

    def module(self, file: str) -> ModuleType:
        """The module of a file as the recipe names it."""
        name = self.code.files[file]
        known = sys.modules.get(name)
        if known is not None and known.__spec__ is not None and known.__spec__.loader is not self:
            name = f"own {name}"  # an installed module of that name is in use
        return importlib.import_module(name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See MetaPathFinder."""
        if not {fullname, fullname.removeprefix("own ")} & self.code.modules.keys():
            return None
        module = self._text(fullname)
        spec = importlib.util.spec_from_loader(fullname, self, origin=module.path, is_package=module.is_package)
        if spec is not None:
            spec.has_location = True  # which gives the module its __file__
        return spec

    def get_source(self, fullname: str) -> str:
        """See InspectLoader."""
        return self._text(fullname).text

    def get_code(self, fullname: str) -> CodeType:
        """See InspectLoader: compiled under the file's path, so that tracebacks name it."""
        module = self._text(fullname)
        return compile(module.text, module.path, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        """See InspectLoader."""
        return self._text(fullname).is_package

    def _text(self, fullname: str) -> Module:
        modules = self.code.modules
        return modules[fullname] if fullname in modules else modules[fullname.removeprefix("own ")]
