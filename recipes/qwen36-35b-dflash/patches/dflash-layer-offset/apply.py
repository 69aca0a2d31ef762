# SPDX-License-Identifier: Apache-2.0
"""Adds the missing 1 to a DFlash drafter's layer ids in an installed vLLM. Owns that statement and this
patch's trace.

Run it with the Python that vLLM is installed for, any number of times; vLLM itself is not imported. meta.yaml
beside this file says why. It ends with 1, and changes nothing, when vLLM is not there, when its version is
outside the range of this patch, or when its code is not what was read when this was written. `--if-needed` is
for images whose version nobody knows beforehand: a version outside the range is then accepted if its code
adds the 1 itself. A success leaves the trace `<sys.prefix>/share/recipegen/patches/<id>`, a JSON object.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import py_compile
import re
import shutil
import sys
import tempfile
from pathlib import Path

PATCH_ID = "dflash-layer-offset"
UPSTREAM = "https://github.com/vllm-project/vllm/pull/40727"

# The release part of the version, first inclusive, last exclusive; the same range as in meta.yaml (a test
# holds them equal). A development build belongs to the release it leads to: 0.19.2rc1.dev213 to 0.19.2.
FIRST, BELOW = (0, 19, 2), (0, 22)
VERSIONS = ">=0.19.2.dev0,<0.22"

FILE = Path("v1/worker/gpu_model_runner.py")
FUNCTION = "_get_eagle3_aux_layers_from_config"
TARGET = "layer_ids"
READ = "dflash_config.get('target_layer_ids')"
SHIFTED = f"[i + 1 for i in {READ} or []]"
SENTINEL = "DFlash layer-tap off-by-one fix applied"

REPLACEMENT = f"""\
# recipegen patch {PATCH_ID}: the drafter numbers the layers whose output it wants,
# auxiliary hidden state 0 is what the first layer takes in.
layer_ids = [i + 1 for i in dflash_config.get("target_layer_ids") or []]
logger.info(
    "{SENTINEL}: aux_hidden_state_layers=%s",
    tuple(layer_ids),
)
"""


class Refused(Exception):
    """This vLLM is not one that the patch was made for."""


def find_vllm(site_packages: Path | None) -> tuple[Path, str]:
    """The folder of the vllm package and its version.

    Args:
        site_packages: folder to look in; where this Python finds its packages by default.

    Raises:
        Refused: there is no vllm, or its version cannot be told.
    """
    if site_packages is None:
        spec = importlib.util.find_spec("vllm")
        folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        found = importlib.metadata.distributions(name="vllm")
    else:
        folders = [site_packages / "vllm"]
        found = importlib.metadata.distributions(name="vllm", path=[str(site_packages)])
    folders = [folder for folder in folders if folder.is_dir()]
    if len(folders) != 1:
        raise Refused(f"no package vllm in {site_packages or sys.executable}")
    versions = sorted({distribution.version for distribution in found})
    if len(versions) != 1:
        raise Refused(f"the version of {folders[0]} is not clear: metadata gives {versions or 'none'}")
    return folders[0], versions[0]


def in_range(version: str) -> bool:
    """Whether the version is one that this patch is for (by its release part; see FIRST and BELOW)."""
    match = re.match(r"v?(?:0!)?(\d+(?:\.\d+)*)", version)
    return match is not None and FIRST <= tuple(int(part) for part in match[1].split(".")) < BELOW


def examine(source: str) -> tuple[str, ast.Assign]:
    """What the source does with the drafter's ids, and the statement that does it.

    Returns:
        "patched", "shifted" (upstream's own form) or "unshifted".

    Raises:
        Refused: none of the three.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise Refused(f"{FILE} is not Python that {sys.version.split()[0]} understands: {error}") from None
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == FUNCTION]
    if len(functions) != 1:
        raise Refused(f"{FILE} defines {FUNCTION} {len(functions)} times, not once")
    reads = [node for node in ast.walk(functions[0]) if isinstance(node, ast.Call) and ast.unparse(node) == READ]
    if not reads:
        raise Refused(f"{FUNCTION} in {FILE} does not read {READ}: no DFlash here, or done another way")
    statements = [
        node
        for node in ast.walk(functions[0])
        if isinstance(node, ast.Assign)
        and [ast.unparse(target) for target in node.targets] == [TARGET]
        and any(read in ast.walk(node.value) for read in reads)
    ]
    if len(reads) != 1 or len(statements) != 1:
        raise Refused(f"{FUNCTION} in {FILE} uses {READ} in a way that is not known here")
    value = ast.unparse(statements[0].value)
    if SENTINEL in ast.unparse(functions[0]):
        return "patched", statements[0]
    if value == SHIFTED:
        return "shifted", statements[0]
    if value == READ and "logger" in {
        ast.unparse(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
    }:
        return "unshifted", statements[0]
    raise Refused(f"{FUNCTION} in {FILE} has a form that is not known here: {TARGET} = {value}")


def patched(source: str, statement: ast.Assign) -> str:
    """The source with the statement replaced; checked to compile and to be recognised as patched."""
    lines = source.split("\n")  # as the parser counts them; splitlines() would also break at form feeds
    indent = " " * statement.col_offset
    lines[statement.lineno - 1 : statement.end_lineno] = [indent + line for line in REPLACEMENT.splitlines()]
    result = "\n".join(lines)
    compile(result, str(FILE), "exec")
    if examine(result)[0] != "patched":
        raise Refused(f"the patched {FILE} does not look as it should")
    return result


def write_atomically(path: Path, data: bytes) -> None:
    """Put data in the place of the file, keeping its mode; the file is never half written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        if path.exists():
            shutil.copymode(path, name)
        else:
            Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def apply(site_packages: Path | None, trace_dir: Path, *, if_needed: bool) -> str:
    """Patch the installed vLLM if it needs it, and leave the trace.

    Args:
        site_packages: see find_vllm.
        trace_dir: folder of the trace file.
        if_needed: accept a version outside the range whose code adds the 1 itself.

    Returns:
        What was done, in a sentence.

    Raises:
        Refused: nothing was changed.
    """
    package, version = find_vllm(site_packages)
    outside = "" if in_range(version) else f"vLLM {version} is outside this patch's range {VERSIONS}"
    if outside and not if_needed:
        raise Refused(
            f"{outside} (older releases have no DFlash, 0.22.0 has the fix itself, {UPSTREAM}): "
            "drop the patch from the recipe"
        )
    path = (package / FILE).resolve()
    if not path.is_file():
        raise Refused(f"vLLM {version} has no {FILE}")
    before = path.read_bytes()
    state, statement = examine(before.decode("utf-8"))
    if outside and state != "shifted":
        raise Refused(f"{outside}, and its code does not add the 1 itself")

    after = before
    if state == "unshifted":
        after = patched(before.decode("utf-8"), statement).encode("utf-8")
        write_atomically(path, after)
        py_compile.compile(str(path), doraise=True)  # a stale .pyc would hide the change
    status = "not needed: already fixed upstream" if state == "shifted" else "applied"
    said = f"already there in vLLM {version}" if state == "patched" else f"{status} (vLLM {version}, {path})"

    trace = trace_dir / PATCH_ID
    if state == "patched" and trace.is_file():
        return said  # the first run's trace knows the hash before
    record = {
        "patch": PATCH_ID,
        "status": status,
        "engine": "vllm",
        "version": version,
        "file": f"vllm/{FILE.as_posix()}",
        "sha256_before": None if state == "patched" else hashlib.sha256(before).hexdigest(),
        "sha256_after": hashlib.sha256(after).hexdigest(),
    }
    trace_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(trace, (json.dumps(record, indent=2) + "\n").encode())
    return said


def main(argv: list[str] | None = None) -> int:
    """Read the arguments, apply the patch, say what was done; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--if-needed", action="store_true", help="accept a vLLM outside the range that adds the 1 itself"
    )
    parser.add_argument("--site-packages", type=Path, help="look for vLLM here (for tests)")
    parser.add_argument(
        "--trace-dir",
        type=Path,
        default=Path(sys.prefix) / "share" / "recipegen" / "patches",
        help="folder of the trace (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    try:
        said = apply(arguments.site_packages, arguments.trace_dir, if_needed=arguments.if_needed)
    except Refused as error:
        print(f"patch {PATCH_ID}: not applied: {error}", file=sys.stderr)
        return 1
    print(f"patch {PATCH_ID}: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
