"""Makes generator/recipegen/engines/known/llama.cpp-b<build>.json from llama.cpp's own table of options.

    python generator/known_flags/make_llamacpp.py --cache DIR [XLLAMACPP_VERSION ...]

llama.cpp releases no wheel; xllamacpp's wheels hold it compiled, its server's option table included, and xllamacpp's
source packages hold the headers to read that table with. So nothing but a page of C++ is compiled here (g++, 2 s).
Owns what is made of an option; docs/known-flags.md is the user's page.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from packaging.version import Version

from known_flags.data import KNOWN, write
from known_flags.wheels import Wheel, download, releases, source_package

BUILDS = {"0.2.12": 8156, "0.2.13": 8352}
"""llama.cpp's build in versions of xllamacpp whose name does not tell it (as their BUILD_INFO tells)."""
VERSIONS = (*BUILDS, "2026.4.8672", "2026.4.8929", "2026.5.9294", "2026.6.9713", "2026.7.10068", "2026.8.10566")
VERSIONS += ("2026.9.11063", "2026.10.11549")
SOURCES = re.compile(r"[^/]+/thirdparty/llama\.cpp/(common|include|src|vendor|ggml|tools/server)/.*\.(h|hpp|cpp|cu|c)")
NEW_STRINGS = b"_Z20common_params_to_mapiPPc13llama_exampleRSt3mapI10common_argNSt7__cxx11"
"""Beginning of a symbol in a library that was compiled with the newer form of std::string."""
CALL = """\
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
sys.path.insert(0, sys.argv[1])
import xllamacpp.xllamacpp
ctypes.CDLL(sys.argv[2]).print_options()
"""
EMPTY: dict[str, Any] = {
    "aliases": [],
    "choices": None,
    "default": None,
    "nargs": None,
    "off": None,
    "deprecated": None,
}
EMPTY |= {"min": None, "max": None, "json": None}
RPC = {"rpc": {**EMPTY, "kind": "str"}}
"""Only a llama.cpp that was built with RPC has this flag; not every xllamacpp was."""
LONGEST = 300
"""Characters of a deprecation text."""


def options(package: Path, sources: Path) -> list[dict[str, Any]]:
    """llama-server's options as llamacpp_options.cpp prints them.

    Args:
        package: an extracted wheel of xllamacpp.
        sources: the folder thirdparty/llama.cpp of the same version.
    """
    (library,) = (package / "xllamacpp").glob("*.so")
    helper = package / "options.so"
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-o", str(helper)]
    command += [f"-D_GLIBCXX_USE_CXX11_ABI={int(NEW_STRINGS in library.read_bytes())}"]
    command += [f"-I{sources / folder}" for folder in ("common", "include", "ggml/include", "vendor")]
    subprocess.run([*command, str(Path(__file__).with_name("llamacpp_options.cpp"))], check=True)
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(package), str(helper)], capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def name_of(option: dict[str, Any]) -> str:
    """The flag's long name: the one that its environment variable is named after, else the first."""
    long_names = [arg[2:] for arg in option["args"] if arg.startswith("--")]
    if not long_names:
        return str(option["args"][0])
    suffix = (option["env"] or "").removeprefix("LLAMA_ARG_").lower().replace("_", "-")
    return suffix if suffix in long_names else long_names[0]


def handler(option: dict[str, Any], source: str) -> str:
    """The C++ of what an option does with its value, from common/arg.cpp."""
    place = source.find(f'"{option["args"][-1]}"')
    return source[place : source.find("add_opt(", place)]


def kind_of(option: dict[str, Any], source: str) -> str:
    """What a flag takes; numbers that llama.cpp reads out of a string are known by its code."""
    if option["takes"] in ("nothing", "bool"):
        return "switch"
    if option["takes"] == "int":
        return "int"
    code = handler(option, source)
    if re.search(r"std::sto[fd]\(value\)", code):
        return "float"
    if re.search(r"std::stou?l*i?\(value\)", code) and "==" not in code:
        return "int"
    return "str"


def choices_of(option: dict[str, Any]) -> tuple[list[str], bool]:
    """The words that the help names, and whether llama.cpp takes others too (1 for on, several at once, ...)."""
    hint = option["hint"] or ""
    if match := re.fullmatch(r"\{([\w,+-]+)\}", hint):
        return sorted(match[1].split(",")), False
    if match := re.search(r"allowed values: ([\w, ]+)", option["help"]):
        return sorted(match[1].replace(" ", "").split(",")), False
    if match := re.fullmatch(r"[\[<]?([\w-]+(?:[|,][\w-]+)+)[\]>]?", hint):
        words = re.split(r"[|,]", match[1])
        return (sorted(words), True) if not {"lo-hi", "value"} & set(words) and len(words) > 1 else ([], False)
    return [], False


def default_of(option: dict[str, Any], kind: str) -> Any:
    """The default that the help tells, where it is a value and no sentence."""
    match = re.search(r"\(default: ([^,;)]*)", option["help"])
    if match is None:
        return None
    word = match[1].strip().strip("'\"")
    if kind == "switch":
        return {"enabled": True, "true": True, "disabled": False, "false": False}.get(word)
    if kind in ("int", "float"):
        try:
            return int(word) if kind == "int" else float(word)
        except ValueError:
            return None
    return word if re.fullmatch(r"[\w.:/-]+", word) and word not in ("unused", "none", "disabled") else None


def described(option: dict[str, Any], source: str) -> dict[str, Any]:
    """One flag as recipegen's data has it."""
    name = name_of(option)
    kind = kind_of(option, source)
    choices, _ = choices_of(option)
    words = " ".join(re.sub(r"\(env: \w+\)", "", option["help"]).split())
    gone = re.search(r"deprecated|argument has been removed", words, re.IGNORECASE)
    off = next((arg[2:] for arg in option["off"] if arg == f"--no-{name}"), None)
    return {
        "aliases": sorted(key for key in map(key_of, option["args"]) if key != name),
        "kind": kind,
        "choices": (sorted(map(int, choices)) if kind == "int" else choices) or None,
        "default": default_of(option, kind),
        "nargs": 2 if option["takes"] == "two" else None,
        "off": off or next((arg[2:] for arg in option["off"] if arg.startswith("--")), None),
        "deprecated": words[:LONGEST] if gone else None,
        "min": None,
        "max": None,
        "json": None,
    }


def key_of(arg: str) -> str:
    """An option's name as recipegen's data has it: without dashes if long."""
    return arg.removeprefix("--") if arg.startswith("--") else arg


def flags_of(found: list[dict[str, Any]], source: str) -> tuple[dict[str, Any], list[str]]:
    """Every flag, and those whose choices are not all that llama.cpp takes.

    A second spelling of a negation (-nocb, --no-mmproj) is a flag of its own here.
    """
    flags: dict[str, Any] = {}
    opened = []
    for option in found:
        if "--help" in option["args"]:
            continue
        flag = flags[name_of(option)] = described(option, source)
        if choices_of(option)[1]:
            opened.append(name_of(option))
        for key in map(key_of, option["off"]):
            if key != flag["off"]:
                flags[key] = {**EMPTY, "kind": "switch"}
    return RPC | flags, sorted(opened)


def environment(found: list[dict[str, Any]], sources: Path) -> list[str]:
    """Names of the variables that options read, and of those that the code reads elsewhere."""
    names = {option["env"] for option in found if option["env"]}
    names |= {
        name.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") for option in found if option["off"] and (name := option["env"])
    }
    for file in sources.rglob("*.*"):
        if file.is_file():
            names |= set(re.findall(r'\bgetenv\("(\w+)"\)', file.read_text(encoding="utf-8", errors="replace")))
    return sorted(names)


def fetched(version: str, wheel: Wheel, cache: Path) -> tuple[Path, Path]:
    """The extracted wheel, and the folder of llama.cpp's sources of the same version."""
    folder = cache / f"xllamacpp-{version}"
    package, sources = folder / "wheel", folder / "sources"
    if not package.exists():
        with zipfile.ZipFile(download(wheel.url, wheel.sha256, cache)) as archive:
            archive.extractall(package)  # noqa: S202 - its SHA-256 was checked
    if not sources.exists():
        with tarfile.open(download(*source_package("xllamacpp", version), cache)) as archive:
            members = [one for one in archive if SOURCES.fullmatch(one.name) and "/tests/" not in one.name]
            archive.extractall(sources, members, filter="data")
    return package, next(sources.glob("*/thirdparty/llama.cpp"))


def main() -> None:
    """Make the files of the versions named, or of VERSIONS."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("versions", nargs="*", metavar="XLLAMACPP_VERSION", default=VERSIONS)
    arguments.add_argument("--cache", required=True, type=Path, help="folder for wheels and sources (150 MB a version)")
    given = arguments.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    released = releases("xllamacpp", "0.2")
    machine = platform.machine()
    for version in given.versions:
        wheel = next(
            one
            for one in released[Version(version)]
            if "abi3" in one.name and "linux_2_" in one.name and machine in one.name
        )
        package, sources = fetched(version, wheel, given.cache)
        found = options(package, sources)
        flags, opened = flags_of(found, (sources / "common" / "arg.cpp").read_text(encoding="utf-8"))
        build = BUILDS.get(version) or int(version.split(".")[2])
        file = KNOWN / f"llama.cpp-b{build}.json"
        write(
            file,
            {
                "engine": "llama.cpp",
                "version": f"b{build}",
                "released": None,
                "source": {"file": wheel.name, "how": "parser", "sha256": wheel.sha256},
                "flags": flags,
                "json": {},
                "open": opened,
                "env": environment(found, sources),
            },
        )
        print(f"{file.name}: {len(flags)} flags, {file.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
