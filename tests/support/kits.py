"""Recipes for the tests of kits: a small one for each build mode and engine, hostile ones; kits on disk."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from recipegen.load.repo import Repository
from recipegen.render.kit import Kit
from recipegen.render.templates import Templates
from recipegen.render.write import write_kit
from recipegen.spec.completed import Spec
from recipegen.workspace import Workspace, own_files

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests" / "golden" / "kits"
"""One recipe for each build mode and engine, each in a folder of its own, beside its golden kit."""
SMALL_NAMES = sorted(path.parent.name for path in SMALL.glob("*/recipe.yaml"))
SHIPPED = ROOT / "recipes"
SHIPPED_NAMES = sorted(path.parent.name for path in SHIPPED.glob("*/recipe.yaml"))


def runnable(folder: Path) -> list[str]:
    """Names of the recipes in a folder that are no records: those whose kits have scripts."""
    recipes = sorted(folder.glob("*/recipe.yaml"))
    return [path.parent.name for path in recipes if "\nmissing:" not in path.read_text(encoding="utf-8")]


HOSTILE = [
    "it's",
    'say "hi"',
    "`touch pwned`",
    "$(touch pwned)",
    "${HOME} $HOME $$ $1",
    "#{ruby} #{1+1}",
    "{{ 7 * 7 }} {% raw %} {# note #}",
    "# a comment",
    "-leading",
    "--seed=7",
    "--",
    "back\\slash \\\\ \\n",
    "; touch pwned && x | y > z < w &",
    "*?[a-z]{a,b}~",
    "~root",
    "!history !!",
    "%s %n %%",
    "=equals",
    "ünïcödé ☃ 𝔘 日本語",
    "zero​width‮turned",
    "  spaces  ",
    "' \" ' \"",
    "'; exec 3<>/dev/null; '",
    "| a | table | bar |",
    "<script>alert(1)</script> & <!-- -->",
    "[link](javascript:alert(1)) @user",
    "EOF",
    "NAME=value",
]
"""Strings of one line that mean something to some language that a kit is written in."""
HOSTILE_LINES = [
    "ends with \\",
    'quoted \\" too',
    "two\nlines",
    "tab\tbell\a",
    "carriage\rreturn",
    "\n",
    "' \n $(touch pwned)",
    "",
]
"""Those that only an argument or an environment variable can hold."""


def workspace(root: Path = ROOT) -> Workspace:
    """A workspace that is not looked for: patches and templates of `root`."""
    return Workspace(Repository(root))


@cache
def shipped(name: str) -> Spec:
    """A recipe of this repository."""
    return workspace().spec(name)


def small(name: str) -> Spec:
    """One of the small recipes."""
    from recipegen.complete import complete

    return complete(workspace().load_file(SMALL / name / "recipe.yaml").recipe)


def spec_of(data: Mapping[str, Any], folder: Path) -> Spec:
    """A recipe given as data, through the file and every check that a user's recipe goes through."""
    from recipegen.complete import complete

    file = folder / str(data["name"]) / "recipe.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return complete(workspace().load_file(file).recipe)


@cache
def _templates() -> Templates:
    return Templates()


def kit_of(spec: Spec) -> Kit:
    """The kit of a recipe, in memory, from the templates that recipegen ships."""
    from recipegen.render.kit import render_kit

    return render_kit(spec, _templates(), workspace().patches, own_files(spec, SMALL / spec.name))


def on_disk(spec: Spec, folder: Path) -> Path:
    """The kit of a recipe in a folder of its own."""
    write_kit(kit_of(spec), folder / spec.name)
    return folder / spec.name


def hostile_data(name: str, engine: str, mode: str, text: str) -> dict[str, Any]:
    """A recipe with hostile strings wherever its model takes text; `text` stands where only one can."""
    flags = {f"x{at}": value for at, value in enumerate([*HOSTILE, *HOSTILE_LINES])}
    env = {f"HOSTILE_{at}": value for at, value in enumerate([*HOSTILE, *HOSTILE_LINES])}
    knob = "max-model-len" if engine == "vllm" else "ctx-size"
    # A served name and a knob may not begin with a dash; that they are refused is tested elsewhere.
    undashed = "x" + text if text.startswith("-") else text
    image: dict[str, Any] = {
        "mode": mode,
        "base": "debian:12",
        "env": {f"IMAGE_{at}": v for at, v in enumerate(HOSTILE)},
    }
    if mode == "wheels":
        image |= {
            "wheels": ["vllm==0.20.0"],
            "torch": {"version": "2.11.0", "index_url": "https://e.org/$(touch)/x"},
        }
    if mode == "source":
        image |= {"runtime_base": "debian:12", "repo": "https://e.org/$(touch)/x.git", "ref": "v1"}
        image["cmake_args"] = [f"-DX={value}" for value in HOSTILE if value.isascii()]
    data = {
        "schema": "recipegen/v1",
        "name": name,
        "hardware": "dgx-spark",
        "title": text,
        "license": text,
        "description": "\n\n".join(HOSTILE),
        "authors": [{"name": value} for value in HOSTILE],
        "references": [{"title": value, "url": "https://e.org/$(touch)/x"} for value in HOSTILE],
        "model": {
            "hf_id": "owner/main",
            "revision": "abc",
            "file": "weights/main.gguf",
            "files": HOSTILE,
            "served_name": undashed,
            "quantization": text,
            "license": text,
            "notes": "\n".join(HOSTILE),
            "size_gb": 0.001,
            "gated": True,
        },
        "models": {"drafter": {"hf_id": "owner/drafter", "file": "d.gguf", "role": "drafter"}},
        "image": image,
        "engine": {
            "name": engine,
            "version": text,
            "flags": {
                **flags,
                knob: undashed,
                "words": ["a b", "$(touch pwned)", "it's", "ü", 7],
                "config": {"model": {"$model": "drafter"}, "texts": HOSTILE, text or "key": {"nested": text}},
                "on": True,
                "off": False,
                "ratio": 0.1,
            },
            "env": env,
            "notes": {"x0": "\n\n".join(HOSTILE), "HOSTILE_1": "why"},
        },
        "headline": "ar",
        "baseline": "ar",
        "variants": {
            "ar": {"title": text, "notes": "\n\n".join(HOSTILE)},
            "draft.er-2": {
                "flags": {"draft": {"$model": "drafter"}}, "drop": ["x0"], "drop_env": ["HOSTILE_0"],
            },
        },
        "bench": {
            "runs": 3, "corpora": {"prose": {"builtin": "us-founding-texts"}}, "thinking": ["on", "off"],
        },
        "healthy_log": HOSTILE,
        "pitfalls": HOSTILE,
        "published": [
            {"variant": "ar", "metric": "tg", "pp": 1, "tg": 1, "value": 1, "stat": "mean", "corpus": value,
             "note": value, "source": "https://e.org/x"} for value in HOSTILE
        ],
    }  # fmt: skip
    return copy.deepcopy(data)  # a test may change what it gets


HOSTILE_KITS = {
    "hostile-vllm-prebuilt": ("vllm", "prebuilt", "$(touch pwned) `id` \" ' \\ {{ x }}"),
    "hostile-vllm-wheels": ("vllm", "wheels", "-leading ${HOME} #{x} | ü"),
    "hostile-vllm-source": ("vllm", "source", "--seed='7'\"; touch pwned #"),
    "hostile-llamacpp-source": ("llama.cpp", "source", "-x ‮ ~ ! % <b>"),
}
"""Name to engine, build mode and the string that stands where only one can."""


class Host:
    """A host for scripts: a home, a PATH of its own, and stand-ins that record how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.bin.mkdir(parents=True)
        self.home.mkdir()
        (self.bin / "python3").symlink_to(sys.executable)

    def with_programs(self, *names: str) -> Host:
        """Programs of this machine; without any, scripts see all of /usr/bin."""
        for name in names:
            found = shutil.which(name)
            assert found is not None, name
            (self.bin / name).symlink_to(found)
        return self

    def stand_in(self, name: str, body: str = "") -> None:
        """A program that records its arguments, environment and process id, then runs `body` (bash)."""
        text = (
            f"#!{shutil.which('bash')}\n"
            f'printf "%s\\0" "$@" >>{self.folder}/{name}.argv\n'
            f'printf "%s\\n" "$$" >{self.folder}/{name}.pid\n'
            f'printf "\\n" >>{self.folder}/{name}.calls\nenv -0 >{self.folder}/{name}.env\n{body}\n'
        )
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def environment(self, more: Mapping[str, str], system: bool = True) -> dict[str, str]:
        """What a script sees: nothing of the user's own environment."""
        path = f"{self.bin}:/usr/bin:/bin" if system else str(self.bin)
        return {"PATH": path, "HOME": str(self.home), **more}

    def run(
        self, script: Path, *args: str, system: bool = True, timeout: float = 30, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """`bash script args`, with these variables."""
        bash = shutil.which("bash")
        assert bash is not None
        # A stand-in's argument may be any bytes, and so may be what a script prints of them.
        return subprocess.run(
            [bash, str(script), *args], env=self.environment(env, system), capture_output=True, text=True,
            errors="surrogateescape", check=False, timeout=timeout, cwd=self.folder,
        )  # fmt: skip

    def argv(self, name: str) -> list[str]:
        """Arguments of all calls of a stand-in, one after the other."""
        file = self.folder / f"{name}.argv"
        return [os.fsdecode(word) for word in file.read_bytes().split(b"\0")[:-1]] if file.exists() else []

    def calls(self, name: str) -> int:
        """How often a stand-in was called."""
        file = self.folder / f"{name}.calls"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def env_of(self, name: str) -> dict[str, str]:
        """Environment of a stand-in's last call."""
        words = (self.folder / f"{name}.env").read_bytes().split(b"\0")[:-1]
        return dict(os.fsdecode(word).split("=", 1) for word in words)

    def pid_of(self, name: str) -> int:
        """Process id of a stand-in's last call."""
        return int((self.folder / f"{name}.pid").read_text())

    def forget(self) -> None:
        """Take away what the stand-ins recorded."""
        for kind in ("argv", "env", "pid", "calls"):
            for file in self.folder.glob(f"*.{kind}"):
                file.unlink()
