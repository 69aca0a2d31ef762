"""Greedy outputs: recorded for a run, compared with those of the baseline. A speculative variant should say what the
baseline says, and where it does not, this tells where they part and how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipegen.errors import RecipegenError
from recipegen.files import read_bounded, sha256_bytes, write_atomic
from recipegen.quality.client import Answer, Chat
from recipegen.quality.questions import probes
from recipegen.quality.verdict import Check, Verdict, shown
from recipegen.results.store import iter_runs, load_run

FORMAT = "recipegen-greedy/1"
FILE = "greedy.json"
_LIMIT = 8 << 20

_EARLY_TOKENS = 16
_EARLY_CHARS = 64
"""Parting before here, in most prompts, is more than rounding: with it two runs part somewhere in the text, at a token
where two are about as likely."""


@dataclass(frozen=True)
class Output:
    """What a server said to one prompt, greedily.

    Attributes:
        token_ids: where the server gives them (vLLM does, llama.cpp does not).
        error: why there is no output.
    """

    id: str
    text: str
    token_ids: tuple[int, ...] | None
    finish: str | None
    error: str | None


@dataclass(frozen=True)
class Greedy:
    """The outputs of one run; `probes` is the SHA-256 of what was asked."""

    probes: str
    outputs: tuple[Output, ...]

    def as_data(self) -> dict[str, Any]:
        """The form in greedy.json."""
        return {
            "format": FORMAT,
            "probes": self.probes,
            "outputs": [
                {
                    "id": output.id,
                    "text": output.text,
                    "token_ids": None if output.token_ids is None else list(output.token_ids),
                    "finish": output.finish,
                    "error": output.error,
                }
                for output in self.outputs
            ],
        }


@dataclass(frozen=True)
class Reference:
    """Outputs of an earlier run of the baseline."""

    run: str
    engine_version: str | None
    greedy: Greedy


@dataclass(frozen=True)
class Parting:
    """Where two outputs of one prompt part: the first token and character that differ, counted from 0.

    Attributes:
        token: None where one of the servers gave no token ids.
    """

    id: str
    token: int | None
    char: int
    ours: str
    theirs: str

    @property
    def early(self) -> bool:
        """Too early for rounding."""
        return self.token < _EARLY_TOKENS if self.token is not None else self.char < _EARLY_CHARS

    def words(self) -> str:
        """For a reader: `story at token 41 (character 170): 'a keeper' for 'the keeper'`."""
        place = f"token {self.token} (character {self.char})" if self.token is not None else f"character {self.char}"
        return f"{self.id} at {place}: {shown(self.ours, 24)!r} for {shown(self.theirs, 24)!r}"


def record_greedy(
    folder: Path,
    base_url: str,
    served_name: str,
    *,
    thinking_kwarg: str | None = "enable_thinking",
    timeout: float = 120.0,
) -> Greedy:
    """Asks the fixed prompts at temperature 0, one after the other, and writes greedy.json into a run's folder.

    Raises:
        EnvironmentLacks: the file cannot be written. What the server does wrong stands in the outputs.
    """
    chat = Chat(base_url, served_name, thinking_kwarg=thinking_kwarg, timeout=timeout)
    asked, outputs, lost = probes()["greedy"], [], False
    for prompt in asked["prompts"]:
        answer = Answer(error="not asked: the server did not answer before")
        if not lost:
            answer = chat.ask(prompt["ask"], max_tokens=asked["max_tokens"], with_token_ids=True)
            lost = answer.unreachable
        outputs.append(Output(prompt["id"], answer.raw, answer.token_ids, answer.finish, answer.error))
    greedy = Greedy(_asked_sha256(), tuple(outputs))
    text = json.dumps(greedy.as_data(), ensure_ascii=False, indent=1)
    write_atomic(folder / FILE, text + "\n")
    return greedy


def load_greedy(folder: Path) -> Greedy:
    """The outputs of a run.

    Raises:
        RecipegenError: not there, or not what recipegen writes.
    """
    path = folder / FILE
    raw = read_bounded(path, _LIMIT)
    try:
        data = json.loads(raw)
        if data["format"] != FORMAT:
            raise RecipegenError(f"{path}: not of the format {FORMAT}", hint="update recipegen, or measure again")
        outputs = tuple(_output(item) for item in data["outputs"])
        if not isinstance(data["probes"], str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecipegenError(f"{path} does not hold greedy outputs", hint="measure the baseline again") from error
    return Greedy(data["probes"], outputs)


def newest_reference(recipe_dir: Path, machine: str, baseline: str) -> Reference | None:
    """The newest run of the baseline variant on this machine whose outputs can be compared with today's."""
    for folder in reversed([run for run in iter_runs(recipe_dir) if run.parent.name == machine]):
        if not (folder / FILE).is_file():
            continue
        try:
            record = load_run(folder)
            greedy = load_greedy(folder)
        except RecipegenError:
            continue  # a damaged record is reported where the table is made
        usable = greedy.probes == _asked_sha256() and not any(output.error for output in greedy.outputs)
        if record["variant"] == baseline and usable:
            return Reference(folder.name, record["engine"].get("version"), greedy)
    return None


def greedy_check(own: Greedy, reference: Reference | None, *, engine_version: str | None = None) -> Check:
    """Holds a variant's outputs against the baseline's.

    Args:
        reference: None when there is no run of the baseline to compare with: a warning.
        engine_version: of the run that `own` is of; another one than the reference's is told.
    """
    total, expected = len(own.outputs), "the baseline's greedy outputs"
    failed = [output for output in own.outputs if output.error or not output.text]
    if failed:
        why = f"{len(failed)} of {total} prompts: {failed[0].error or 'the output is empty'}"
        return Check("greedy", "fail", f"{total - len(failed)} of {total} outputs", expected, why)
    if reference is None:
        why = "no run of the baseline on this machine has outputs to compare with: measure it first"
        return Check("greedy", "warn", f"{total} outputs", expected, why)
    partings = compare(own.outputs, reference.greedy.outputs)
    against = f"run {reference.run}"
    if engine_version and reference.engine_version and engine_version != reference.engine_version:
        against += f" (of engine version {shown(reference.engine_version, 40)}, this is {shown(engine_version, 40)})"
    if not partings:
        return Check("greedy", "pass", f"{total} of {total} identical", expected, f"compared with {against}")
    early = sum(parting.early for parting in partings)
    verdict: Verdict = "fail" if 2 * early > total else "warn"
    places = "; ".join(parting.words() for parting in partings[:4])
    more = f"; {early} within the first {_EARLY_TOKENS} tokens" if early else ""
    return Check(
        "greedy",
        verdict,
        f"{total - len(partings)} of {total} identical",
        expected,
        f"{len(partings)} of {total} part from {against}: {places}{more}",
    )


def compare(ours: Sequence[Output], theirs: Sequence[Output]) -> list[Parting]:
    """Where the outputs part; nothing of those that are identical. A prompt that `theirs` lacks is not compared."""
    known = {output.id: output for output in theirs}
    return [
        _parting(output, known[output.id])
        for output in ours
        if output.id in known and output.text != known[output.id].text
    ]


def _parting(ours: Output, theirs: Output) -> Parting:
    token = None
    if ours.token_ids is not None and theirs.token_ids is not None:
        token = _first_difference(ours.token_ids, theirs.token_ids)
    char = _first_difference(ours.text, theirs.text)
    return Parting(ours.id, token, char, ours.text[char : char + 100], theirs.text[char : char + 100])


def _first_difference(one: Sequence[Any], two: Sequence[Any]) -> int:
    same = (at for at, (left, right) in enumerate(zip(one, two, strict=False)) if left != right)
    return next(same, min(len(one), len(two)))


def _asked_sha256() -> str:
    return sha256_bytes(json.dumps(probes()["greedy"], sort_keys=True).encode())


def _output(item: Any) -> Output:
    """Raises TypeError, KeyError: it is no output."""
    ids = item["token_ids"]
    if ids is not None and not (isinstance(ids, list) and all(type(i) is int for i in ids)):
        raise TypeError("token_ids")
    texts = item["id"], item["finish"], item["error"]
    if type(item["text"]) is not str or not all(isinstance(text, str | None) for text in texts):
        raise TypeError("text")
    return Output(str(item["id"]), item["text"], None if ids is None else tuple(ids), item["finish"], item["error"])
