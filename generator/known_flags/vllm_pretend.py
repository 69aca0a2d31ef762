"""Lets a vLLM be imported from a wheel's Python files alone, as on an NVIDIA GPU. Owns nothing of its parser."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable

STUBS = ("diskcache", "gguf", "orjson")
"""Packages that some release imports and the Python at hand may lack; nothing of the parser depends on them."""


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives an empty module for a compiled part of vLLM and for the packages in STUBS."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Answer only where no real module was found: this finder stands last."""
        package, _, last = name.rpartition(".")
        if name.split(".")[0] in STUBS or (package.split(".")[0] == "vllm" and last.startswith("_")):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """A module in which every public name is a class without contents."""
        module = types.ModuleType(spec.name)

        def attribute(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = attribute  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def lacks(*_: object, **__: object) -> bool:
    """The answer to every question for a feature of the GPU."""
    return False


class Operators:
    """In the place of vLLM's compiled operators: none is there, and no feature is supported."""

    def __getattr__(self, name: str) -> Callable[..., bool]:
        if "support" in name:
            return lacks
        raise AttributeError(name)


def use_cuda_platform() -> None:
    """Make vLLM believe that it runs on some NVIDIA GPU, which some defaults and choices depend on."""
    importlib.import_module("torch").ops._C = Operators()
    platforms = importlib.import_module("vllm.platforms")
    cuda = importlib.import_module("vllm.platforms.cuda")

    def capability(device_id: int = 0) -> None:
        """Unknown, so that nothing asks a compiled module what it could do there."""

    overrides = {"get_device_capability": staticmethod(capability), "has_device_capability": staticmethod(lacks)}
    vars(platforms)["_current_platform"] = type("SomeCudaPlatform", (cuda.NonNvmlCudaPlatform,), overrides)()


def sources_alone() -> None:
    """From now on what is missing is empty, and no error."""
    sys.meta_path.append(StubFinder())
