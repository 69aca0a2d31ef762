"""Making and verifying a bundle with a large server log against hashing and compressing the same files, and the peak
memory with a small and a large log. Owns no printing.

Called with arguments it is the child process whose memory is measured: `bundling.py bundle|verify ROOT ARCHIVE`; it
prints its peak.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from indexing import peak_bytes
from sampling import Failed, Row, Sample, clocked, interleaved
from tests.unit.bundle_factory import archive, measured

from recipegen.verify.whole import verify_bundle

PAIRS = 5
LOG_MB = 96
MEMORY_MB = (8, 128)
TARGET = 2.0
"""Times hashing and compressing the same files."""
TARGET_MEMORY = 1.1
"""Peak with the large log over that with the small one."""
_CHUNK = 1 << 20


def rows() -> list[Row]:
    """bundle and verify: time against a plain pass over the files, memory against that with a small log."""
    with tempfile.TemporaryDirectory(prefix="recipegen-bench-") as folder:
        place = Path(folder)
        root, packed = place / "repo", place / "a.tar.gz"
        _write_log(measured(root), LOG_MB)
        archive(root, packed)
        files = [path for path in (root / "recipes").rglob("*") if path.is_file()]
        bundled, verified, plain = interleaved(
            PAIRS,
            lambda: clocked(lambda: archive(root, packed)),
            lambda: clocked(lambda: _require_good(packed)),
            lambda: clocked(lambda: _plain(files, place / "plain.gz")),
        )
        log = f"a server log of {LOG_MB} MB"
        against = "SHA-256 and deflate of the same files"
        return [
            Row("bundle", bundled, "s", against, plain, TARGET, remark=log),
            Row("verify", verified, "s", against, plain, TARGET, remark=f"{log}; unpacked, and packed anew"),
            *_memory(root, packed),
        ]


def _memory(root: Path, packed: Path) -> list[Row]:
    """Peaks of child processes with a small and with a large log."""
    peaks: dict[str, list[Sample]] = {"bundle": [], "verify": []}
    for size in MEMORY_MB:
        _write_log(root, size)
        for mode in peaks:
            argv = [sys.executable, __file__, mode, str(root), str(packed)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failed(f"bundling.py {mode}: {done.stderr[-2000:]}")
            peaks[mode].append(Sample(int(done.stdout) / 1e6))
    small, large = MEMORY_MB
    return [
        Row(
            f"{mode}: peak memory, log of {large} MB",
            found[1:],
            "MB",
            f"with a log of {small} MB",
            found[:1],
            TARGET_MEMORY,
            remark="of the child, resident",
        )
        for mode, found in peaks.items()
    ]


def _require_good(packed: Path) -> None:
    wrong = [check for check in verify_bundle(packed).checks if check.status != "passed"]
    if wrong:
        raise Failed(f"a good bundle does not verify: {wrong[0]}")


def _plain(files: list[Path], target: Path) -> None:
    """What nobody can do without: read every file, hash it, compress it."""
    digest, engine = hashlib.sha256(), zlib.compressobj(6)
    with target.open("wb") as out:
        for path in files:
            with path.open("rb") as file:
                while piece := file.read(_CHUNK):
                    digest.update(piece)
                    out.write(engine.compress(piece))
        out.write(engine.flush())


def _write_log(root: Path, megabytes: int) -> Path:
    """A server log like vLLM's, with figures that differ from line to line."""
    chance = random.Random(1)
    (path,) = (root / "recipes").glob("*/results/*/*-dflash/server.log")
    lines = []
    for number in range(20_000):
        lines.append(
            f"(APIServer pid=71) INFO 11-21 07:{number // 600 % 60:02}:{number // 10 % 60:02} [loggers.py:127] "
            f"Engine 000: Avg prompt throughput: {chance.uniform(0, 3000):.1f} tokens/s, Avg generation throughput: "
            f"{chance.uniform(20, 120):.1f} tokens/s, Running: {chance.randrange(4)} reqs, GPU KV cache usage: "
            f"{chance.uniform(0, 9):.1f}%\n"
        )
    block = "".join(lines).encode()
    with path.open("wb") as file:
        for at in range(0, megabytes * 1_000_000, len(block)):
            file.write(block[: megabytes * 1_000_000 - at])
    return root


if __name__ == "__main__":
    mode, repository, target = sys.argv[1:]
    if mode == "bundle":
        archive(Path(repository), Path(target))
    else:
        _require_good(Path(target))
    print(peak_bytes())
