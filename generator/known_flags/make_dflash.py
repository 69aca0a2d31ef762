"""Writes the table of docs/dflash-layer-offset.md: what each released vLLM does with a DFlash drafter's layer ids.

    python generator/known_flags/make_dflash.py [--sources FOLDER]

Reads only the files it needs out of each wheel, and judges them with the patch's own eyes (patches/.../apply.py).
--sources FOLDER also writes the files that the tests apply the patch to. Owns the table, not the patch.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

from packaging.version import Version

from known_flags.wheels import Wheel, opened, preferred, releases

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "dflash-layer-offset.md"
FIRST = "0.19.0"
BEGIN, END = "<!-- table: generator/known_flags/make_dflash.py -->\n", "<!-- end of table -->\n"
RUNNER = "vllm/v1/worker/gpu_model_runner.py"
SECOND = "vllm/v1/worker/gpu/spec_decode/eagle/eagle3_utils.py"
"""Where vLLM's second model runner, which 0.24.0 brought, does the same."""
FOR_TESTS = ("0.19.1", "0.21.0", "0.22.0", "0.32.0")


def the_patch() -> ModuleType:
    """apply.py as a module."""
    spec = importlib.util.spec_from_file_location("apply", ROOT / "patches" / "dflash-layer-offset" / "apply.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def second_place(archive: zipfile.ZipFile) -> str:
    """What the second model runner does: "absent", "shifted" or "unshifted"."""
    if SECOND not in archive.namelist():
        return "absent"
    reads = [node for node in ast.walk(ast.parse(archive.read(SECOND))) if isinstance(node, ast.Assign)]
    values = [
        ast.unparse(node.value) for node in reads if "dflash_config.get('target_layer_ids')" in ast.unparse(node.value)
    ]
    if not values:
        return "absent"
    return "shifted" if all(value.startswith("[i + 1 for i in") for value in values) else "unshifted"


def row(version: Version, wheels: list[Wheel], patch: ModuleType, sources: Path | None) -> list[str]:
    """One release's row: version, wheel, DFlash, what it does with the ids, the patch."""
    chosen = preferred(wheels)
    with opened(chosen) as archive:
        data = archive.read(RUNNER)
        dflash = any("dflash" in name for name in archive.namelist())
        second = second_place(archive)
        checksum = archive.getinfo(RUNNER).CRC
    for other in wheels:
        with opened(other) as archive:
            if checksum != archive.getinfo(RUNNER).CRC:
                raise SystemExit(f"{other.name} and {chosen.name} differ in {RUNNER}")
    try:
        state = patch.examine(data.decode())[0]
    except patch.Refused:
        state = "absent"
    if dflash != (state != "absent") or second not in ("absent", state):
        raise SystemExit(f"{version}: DFlash {dflash}, ids {state}, second runner {second}: read it yourself")
    if sources is not None and str(version) in FOR_TESTS:
        keep(sources, str(version), chosen, data)
    taken = {"absent": "–", "unshifted": "as they are", "shifted": "1 added"}[state]
    needs = {"absent": "refused", "unshifted": "**needed**", "shifted": "refused"}[state]
    return [str(version), f"`{chosen.sha256[:12]}`", "yes" if dflash else "no", taken, needs]


def keep(folder: Path, version: str, wheel: Wheel, data: bytes) -> None:
    """Put a release's model runner into the tests' data, with where it is from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"gpu_model_runner-{version}.py.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    index = folder / "origin.json"
    origin = json.loads(index.read_text()) if index.exists() else {}
    digest = hashlib.sha256(data).hexdigest()
    origin[version] = {"wheel": wheel.name, "wheel_sha256": wheel.sha256, "file": RUNNER, "sha256": digest}
    index.write_text(json.dumps(origin, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Write the table between its marks in the document."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sources", type=Path, metavar="FOLDER", help="also write the tests' source files")
    options = arguments.parse_args()
    patch = the_patch()
    rows = [["version", "wheel", "DFlash in it", "the drafter's ids", "this patch"], ["---"] * 5]
    for version, wheels in releases("vllm", FIRST).items():
        rows.append(row(version, wheels, patch, options.sources))
        print(*rows[-1], flush=True)
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
