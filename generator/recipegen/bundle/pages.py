"""README.md and CITATION.txt of a bundle. Owns their words; every figure comes from the claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recipegen.bundle.claim import WORDS
from recipegen.bundle.layout import BOARDS, CHART, CITATION, CLAIM, FOLDER_END, FORMAT, MANIFEST
from recipegen.publish.figures import number, table_head, table_row
from recipegen.quoting import comment_text, markdown_code, markdown_link, markdown_text

Claim = Mapping[str, Any]
_GIB = 1 << 30


def headline(claim: Claim) -> str:
    """What is claimed, in one sentence of plain text."""
    metric = "tg" if "tg" in claim["figures"] else next(iter(claim["figures"]))
    found = claim["figures"][metric]
    parts = [f"{number(found['median'])} {found['unit']} of {WORDS[metric]}", f"({_how(found)})"]
    if metric in claim["ratios"]:
        ratio = claim["ratios"][metric]
        parts.append(
            f"{number(ratio['ratio'])} times its baseline {claim['baseline']['variant']} "
            f"(95 % interval {number(ratio['low'])} to {number(ratio['high'])})"
        )
    return f"{parts[0]} {parts[1]}" + "".join(f", {part}" for part in parts[2:])


def _how(found: Mapping[str, Any]) -> str:
    interval = "" if found["n"] == 1 else f", 95 % interval {number(found['low'])} to {number(found['high'])}"
    return f"warm median, n={found['n']}{interval}"


def citation(claim: Claim) -> str:
    """A short text to paste under a figure."""
    lines = [
        f"{comment_text(claim['title'])} on {comment_text(machine(claim))}: {headline(claim)}.",
        f"{shape(claim)}; {engine(claim)}; llama-benchy {claim['versions']['llama_benchy'] or 'of unknown version'}; "
        f"{claim['variant']} ({claim['method']}); measured {str(claim['measured'])[:10]}.",
    ]
    lines += [f"In doubt: {comment_text(doubt['text'])}" for doubt in claim["doubts"]]
    lines.append(
        f"Recipe {claim['recipe']}, raw report SHA-256 {claim['report_sha256']}, in a {FORMAT}: check it with "
        "`recipegen verify`."
    )
    return "\n".join(lines) + "\n"


def machine(claim: Claim) -> str:
    """The machine that it was measured on, as far as that was recorded."""
    host = claim["hardware"]["host"]
    if not host:
        return str(claim["machine"])
    gpus = [str(gpu["name"]) for gpu in host.get("gpus") or []]
    cpu = host.get("cpu")
    model = cpu.get("model") if isinstance(cpu, dict) else None
    return ", ".join(dict.fromkeys(gpus)) or str(model or claim["machine"])


def shape(claim: Claim) -> str:
    """The cell in words."""
    cell = claim["cell"]
    thinking = "" if cell["thinking"] == "default" else f", thinking {cell['thinking']}"
    return (
        f"pp{cell['pp']} tg{cell['tg']}, depth {cell['depth']}, concurrency {cell['concurrency']}, "
        f"text {cell['corpus']}{thinking}"
    )


def engine(claim: Claim) -> str:
    """The server in words."""
    return comment_text(" ".join(str(part) for part in claim["engine"].values() if part)) or "engine not recorded"


def readme(claim: Claim, boards: Mapping[str, list[str]]) -> str:
    """The human page.

    Args:
        boards: name of a leaderboard to the paths of its payload files.
    """
    return "\n".join(_readme(claim, boards)).rstrip("\n") + "\n"


def _readme(claim: Claim, boards: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"# {markdown_text(claim['title'])}"
    yield ""
    yield f"**{markdown_text(headline(claim))}**, measured on {markdown_text(machine(claim))}."
    yield ""
    if claim["doubts"]:
        yield "## In doubt"
        yield ""
        yield "This bundle was made in spite of these; do not take its figures for a headline:"
        yield ""
        yield from (
            f"- **{markdown_text(doubt['code'])}**: {markdown_text(doubt['text'])}" for doubt in claim["doubts"]
        )
        yield ""
    yield f"![Samples, medians and intervals]({CHART})"
    yield ""
    yield "## Figures"
    yield ""
    yield from _figures(claim)
    yield f"Cell {markdown_code(claim['cell']['id'])}: {markdown_text(shape(claim))}."
    yield f"Which samples count: {markdown_text(claim['warm_rule'])}."
    yield "Intervals are of the median, 95 %, bootstrap; std is the population standard deviation."
    yield ""
    for remark in claim["remarks"]:
        yield f"- {markdown_text(remark)}"
    yield from [""] * bool(claim["remarks"])
    yield "## Measured on"
    yield ""
    yield from (f"- {name}: {value}" for name, value in _facts(claim))
    yield ""
    yield "## How to check"
    yield ""
    command = f"recipegen verify {claim['recipe']}{FOLDER_END}.tar.gz"
    yield f"{markdown_code(command)} needs no network: it recomputes every figure from the raw reports, renders the kit"
    yield "from the recipe, and lists each check. By hand: the raw report is"
    folder = f"recipes/{claim['recipe']}"
    place = f"{folder}/{claim['report']}"
    yield f"{markdown_link(markdown_code(place), place)}; drop the first of `tg_throughput.values`, take the median."
    again = markdown_code(f"recipegen reproduce {claim['recipe']}")
    yield f"To measure it again on such a machine: {again} in this folder, or the kit's own"
    yield f"{markdown_link('README', f'{folder}/README.md')}."
    yield ""
    yield "## What is here"
    yield ""
    yield from _contents(claim, boards)


def _figures(claim: Claim) -> Iterator[str]:
    yield from table_head(
        ("metric", False), ("variant", False), ("n", True), ("median", True), ("95 % interval", True), ("mean", True),
        ("std", True), ("range", True), ("left out", True),
    )  # fmt: skip
    for side in filter(None, (claim, claim["baseline"])):
        for metric, found in _told(side).items():
            interval = "–" if found["n"] == 1 else f"{number(found['low'])} to {number(found['high'])}"
            yield table_row(
                markdown_text(f"{metric}, {found['unit']}: {WORDS[metric]}"),
                markdown_text(side["variant"]),
                str(found["n"]),
                number(found["median"]),
                interval,
                number(found["mean"]),
                number(found["std"]),
                f"{number(found['minimum'])} to {number(found['maximum'])}",
                str(found["dropped"]),
            )
    yield ""
    ratios = {metric: ratio for metric, ratio in claim["ratios"].items() if metric in _told(claim)}
    for metric, ratio in ratios.items():
        yield (
            f"- {metric}: {number(ratio['ratio'])} times {markdown_text(claim['baseline']['variant'])}, "
            f"95 % interval {number(ratio['low'])} to {number(ratio['high'])}"
        )
    yield from [""] * bool(ratios)


def _told(side: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics of a side; of those with the same figures (one request at a time) the first."""
    found: dict[str, Mapping[str, Any]] = {}
    for metric, figures in side["figures"].items():
        if figures not in found.values():
            found[metric] = figures
    return found


def _facts(claim: Claim) -> Iterator[tuple[str, str]]:
    host, image, model = claim["hardware"]["host"] or {}, claim["image"] or {}, claim["model"]
    yield "machine", markdown_text(f"{machine(claim)} ({claim['machine']}), recipe for {claim['hardware']['recipe']}")
    size = host.get("memory_bytes")
    memory = f"{size / _GIB:.1f} GiB of memory" if isinstance(size, int) else None
    system = [host.get("os"), host.get("kernel"), memory]
    if any(system):
        yield "system", markdown_text(", ".join(str(part) for part in system if part))
    yield "engine", markdown_text(engine(claim))
    if image:
        yield "image", ", ".join(markdown_code(str(image[key])) for key in ("ref", "id") if image.get(key))
    name = model["hf_id"] or model["served_name"] or claim["recipe"]
    revision = f" at {markdown_code(model['revision'])}" if model["revision"] else ""
    yield "model", f"{markdown_text(str(name))}{revision}, {markdown_text(model['quantization'])}"
    yield "llama-benchy", markdown_text(str(claim["versions"]["llama_benchy"] or "of unknown version"))
    for what, side in (("run", claim), ("baseline's run", claim["baseline"])):
        if side is not None:
            yield what, f"{markdown_code(side['run'])}, {markdown_text(str(side['measured'])[:10])}"
    yield "quality gate", markdown_text(claim["quality"] or "nobody asked")
    yield "plausibility", markdown_text(claim["plausibility"]["verdict"])


def _contents(claim: Claim, boards: Mapping[str, list[str]]) -> Iterator[str]:
    folder = f"recipes/{claim['recipe']}/"
    yield f"- {markdown_link(folder, folder)}: recipe, lock, kit, raw reports, records, logs"
    yield f"- {markdown_link(CLAIM, CLAIM)}: the figures for machines; {markdown_link(CITATION, CITATION)}: to paste"
    yield f"- {markdown_link(MANIFEST, MANIFEST)} ({FORMAT}): size and SHA-256 of every file"
    for board, files in boards.items():
        links = ", ".join(markdown_link(markdown_text(path), f"{BOARDS}/{board}/{path}") for path in files)
        yield f"- {markdown_text(board)}: {links}"
