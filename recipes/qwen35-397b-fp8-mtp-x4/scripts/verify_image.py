#!/usr/bin/env python3
"""The last check of an image build: ends with 1, and the reasons, when the image is not what it should be."""

import argparse
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

TRACES = Path(sys.prefix) / "share" / "recipegen" / "patches"


def release(version):
    """The leading numbers of a version, for comparison: 5.6.2 -> (5, 6, 2)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def check_requirement(text):
    """`transformers>=5.0.0`: the package is there in a version that fits."""
    name, conditions = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", text.strip()).groups()
    try:
        have = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed, but {text} is required"
    for sign, want in re.findall(r"(==|>=|<=|!=|~=|<|>)\s*([^\s,]+)", conditions):
        left, right = release(have), release(want)
        prefix = left[: len(right)] == right
        width = max(len(left), len(right))
        left, right = left + (0,) * (width - len(left)), right + (0,) * (width - len(right))
        same = prefix if want.endswith(".*") else left == right
        fits = {
            "==": same,
            "!=": not same,
            ">=": left >= right,
            "<=": left <= right,
            ">": left > right,
            "<": left < right,
            "~=": left >= right and left[: len(release(want)) - 1] == release(want)[:-1],
        }[sign]
        if not fits:
            return f"{name} is {have}, but {text} is required"
    print(f"{name} {have}: fits {text}")
    return None


def check_program(name):
    """The server's program is on PATH."""
    found = shutil.which(name)
    if found is None:
        return f"the program {name} is not on PATH ({os.environ.get('PATH', '')})"
    print(f"{name}: {found}")
    return None


def check_torch(cpu_allowed):
    """torch is built for a GPU, unless the recipe is meant for a CPU."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    kind = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    print(f"torch {torch.__version__}: {kind} build")
    if torch.version.cuda is None and not cpu_allowed:
        return (
            f"torch {torch.__version__} is a CPU build, but this recipe means a GPU "
            "(the build argument ALLOW_CPU_TORCH=1 allows it)"
        )
    return None


def check_patch(name):
    """The patch left its trace."""
    trace = TRACES / name
    if not trace.is_file():
        return f"the patch {name} left no trace at {trace}"
    print(f"patch {name}: {trace.read_text(encoding='utf-8').strip()}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", action="append", default=[], metavar="REQUIREMENT")
    parser.add_argument("--patch", action="append", default=[], metavar="ID")
    parser.add_argument("--program", action="append", default=[], metavar="NAME", help="must be on PATH")
    parser.add_argument("--torch", action="store_true", help="for a GPU, unless ALLOW_CPU_TORCH is 1")
    options = parser.parse_args()
    found = [check_program(name) for name in options.program]
    found += [check_requirement(text) for text in options.require]
    if options.torch:
        found.append(check_torch(os.environ.get("ALLOW_CPU_TORCH") == "1"))
    found += [check_patch(name) for name in options.patch]
    problems = [problem for problem in found if problem]
    for problem in problems:
        print(f"ERROR: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
