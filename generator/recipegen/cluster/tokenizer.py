"""The tokenizer of a recipe whose models lie on other machines only: llama-benchy counts with it, on this one. Owns
which files that takes, and their copy here."""

from __future__ import annotations

import base64
import binascii
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from recipegen.cluster.access import run_script
from recipegen.cluster.nodes import Fault, Node, NodesLack
from recipegen.cluster.probe import on_shell
from recipegen.files import sha256_bytes

if TYPE_CHECKING:
    from recipegen.spec.completed import Spec

FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken")
"""What tokenizers of the Transformers library are made of, their configuration and chat template; never weights."""
_LARGEST = "64M"
_TIMEOUT_S = 120.0


def tokenizer_here(spec: Spec, head: Node, cache: Path) -> Path:
    """A folder of models on this machine that holds a recipe's tokenizer as the head has it.

    Args:
        cache: where copies lie, each under the hash of its content.

    Returns:
        What MODELS_DIR is here; weights are not in it.

    Raises:
        NodesLack: the head cannot be reached, or has none of the files.
    """
    model = spec.models[spec.models["model"].tokenizer or "model"]
    place = f"{head.models_dir}/{model.folder}"
    answer = run_script(head, _script(place), timeout_s=_TIMEOUT_S)
    try:
        packed = base64.b64decode(answer, validate=False)
        files = _files(packed) if packed else {}
    except (binascii.Error, tarfile.TarError) as error:
        raise NodesLack([Fault(head.name, "model", f"its tokenizer did not arrive whole: {error}", "")]) from error
    if not files:
        remedy = f"llama-benchy needs it: {', '.join(FILES)}"
        raise NodesLack([Fault(head.name, "model", f"there is no tokenizer in {place}", remedy)])
    content = "\0".join(f"{name}\0{sha256_bytes(data)}" for name, data in sorted(files.items()))
    root = cache / sha256_bytes(content.encode())[:16]
    folder = root / str(model.folder)
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as part:
            whole = Path(part, "whole")
            whole.mkdir()
            for name, data in files.items():
                (whole / name).write_bytes(data)
            try:
                whole.replace(folder)
            except OSError:
                if not folder.is_dir():  # else another run was faster, with the very same
                    raise
    return root


def _script(place: str) -> str:
    names = " -o ".join(f"-name '{pattern}'" for pattern in FILES)
    found = f"find -L . -maxdepth 1 -type f -size -{_LARGEST} '(' {names} ')' -print0"
    # -h: in a hub's cache, files are links.
    return f"cd {on_shell(place)} 2>/dev/null || exit 0; {found} | tar -chzf - --null -T - | base64\n"


def _files(packed: bytes) -> dict[str, bytes]:
    """Plain files of an archive by name; what is not directly in its folder is left out."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=BytesIO(packed), mode="r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            source = archive.extractfile(member) if member.isfile() and name == Path(name).name else None
            if source is not None:
                found[name] = source.read()
    return found
