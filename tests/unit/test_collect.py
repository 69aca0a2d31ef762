"""Taking in reports made with the kit alone or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipegen.errors import EnvironmentLacks, RecipegenError, SpecError
from recipegen.files import sha256_file
from recipegen.plausible.record import put_verdicts
from recipegen.results import collect as module
from recipegen.results.collect import Collected, collect
from recipegen.results.store import iter_runs, load_run
from tests.support.kits import small
from tests.unit.results_factory import benchmark, cell, metric, real_report, report, spec, write_json

PROSE = "prose-pp2048-tg128-d0-c1"
CODE = "code-pp2048-tg128-d0-c1"
AT = "2026-11-20 10:00:00Z"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes" / "tiny"
    folder.mkdir(parents=True)
    return folder


def take(recipe: Path, *paths: Path, the_spec: Any = None, **options: Any) -> list[Collected]:
    return collect(recipe, the_spec or spec(), paths, **{"variant": "dflash", "machine": "gb10-128g", **options})


def refusal(recipe: Path, *paths: Path, the_spec: Any = None, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        take(recipe, *paths, the_spec=the_spec, **options)
    assert not (recipe / "results").exists(), "a refused file must leave nothing behind"
    return "\n".join(map(str, caught.value.problems))


def kit_report(folder: Path, cell_id: str = PROSE, data: Any = None, **meta: Any) -> Path:
    """A report as bench.sh leaves it, with its sidecar."""
    path = write_json(folder / f"{cell_id}.json", data or report())
    facts = {
        "recipe": "tiny",
        "variant": "dflash",
        "cell": cell_id,
        "corpus_sha256": "c" * 64,
        "argv": ["llama-benchy", "--pp", "2048"],
        "started": "2026-11-20T09:58:00Z",
        "ended": "2026-11-20T10:00:01Z",
        "engine_version": "0.32.0",
        "kit_sha256": "4" * 64,
        "llama_benchy": "0.4.0",
    }
    write_json(folder / f"{cell_id}.json.meta.json", {**facts, **meta})
    return path


def test_a_report_of_the_kit(tmp_path: Path, recipe: Path) -> None:
    path = kit_report(tmp_path)
    (got,) = take(recipe, path, variant=None)
    folder = recipe / "results" / "gb10-128g" / "20261120T100000Z-dflash"
    assert got == Collected(path, folder, f"{PROSE}.json", (PROSE,))
    assert (folder / f"{PROSE}.json").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == [f"{PROSE}.json", "run.json"]
    record = load_run(folder)
    assert (record["origin"], record["status"], record["runner"]) == ("kit", "partial", None)
    assert (record["started"], record["ended"]) == ("2026-11-20T09:58:00Z", "2026-11-20T10:00:01Z")
    assert record["engine"] == {"name": None, "version": "0.32.0"}
    assert record["recipe"] == {
        "name": "tiny",
        "title": "Tiny recipe",
        "spec_sha256": None,
        "kit_sha256": "4" * 64,
    }
    assert record["cells"] == [
        {
            "id": PROSE,
            "corpus": "prose",
            "corpus_sha256": "c" * 64,
            "pp": 2048,
            "tg": 128,
            "depth": 0,
            "concurrency": 1,
            "thinking": "default",
            "runs": 4,
            "status": "done",
            "file": f"{PROSE}.json",
            "sha256": sha256_file(path),
            "argv": ["llama-benchy", "--pp", "2048"],
            "error": None,
            "started": "2026-11-20T09:58:00Z",
            "ended": "2026-11-20T10:00:01Z",
            "failed_requests": None,
        }
    ]


def test_a_report_from_elsewhere_has_unknown_facts(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / "somebody.json", report(version="0.3.7"))
    (got,) = take(recipe, path, corpus="prose")
    record = load_run(got.folder)
    assert (record["origin"], record["method"], record["variant"]) == ("collected", "DFlash", "dflash")
    assert record["versions"]["llama_benchy"] == "0.3.7" and record["versions"]["python"] is None
    for unknown in ("runner", "started", "host", "image", "server"):
        assert record[unknown] is None  # type: ignore[literal-required]
    assert record["models"] == [] and record["engine"] == {"name": None, "version": None}
    # llama-benchy takes its time when the suite ends.
    assert record["ended"] == record["cells"][0]["ended"] == "2026-11-20T10:00:00Z"
    assert record["cells"][0]["argv"] is None and record["cells"][0]["corpus_sha256"] is None


def test_an_empty_sidecar_is_still_the_kits(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / f"{PROSE}.json", report())
    write_json(tmp_path / f"{PROSE}.json.meta.json", {"engine_version": "", "argv": None, "later": "field"})
    (got,) = take(recipe, path)
    record = load_run(got.folder)
    assert record["origin"] == "kit" and record["engine"]["version"] is None


def test_a_real_report_is_copied_untouched(recipe: Path) -> None:
    path = real_report("qwen36-35b-a3b-dflash-spark/results/result-sherlock-thinkOFF.json")
    planned = spec(cell(pp=128, thinking="on"), cell(pp=128, thinking="off"))
    (got,) = take(recipe, path, the_spec=planned, thinking="off")
    assert got.cells == ("prose-pp128-tg128-d0-c1-think-off",)
    assert (got.folder / got.file).read_bytes() == path.read_bytes()
    assert got.folder.name == "20260428T013833Z-dflash"


def test_the_same_bytes_twice_are_taken_once(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / f"{PROSE}.json", report())
    (first,) = take(recipe, path)
    before = (first.folder / "run.json").read_bytes()
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    again = take(recipe, path, copy, machine="other", variant="ar")
    assert [(one.folder, one.file, one.cells, one.already) for one in again] == [
        (first.folder, first.file, first.cells, True)
    ] * 2
    assert list(iter_runs(recipe)) == [first.folder]
    assert (first.folder / "run.json").read_bytes() == before


def test_two_copies_in_one_call(tmp_path: Path, recipe: Path) -> None:
    one = write_json(tmp_path / f"{PROSE}.json", report())
    two = tmp_path / "copy.json"
    two.write_bytes(one.read_bytes())
    got = take(recipe, one, two, one)
    assert [(c.source, c.already) for c in got] == [(one, False), (two, True)]
    assert len(list(iter_runs(recipe))) == 1


def test_files_of_one_call_are_one_run(tmp_path: Path, recipe: Path) -> None:
    ids = [c.id for c in spec().cells()]
    paths = [
        kit_report(tmp_path, c.id, report(benchmark(pp=c.pp), timestamp=f"2026-11-20 10:0{at}:00Z"))
        for at, c in enumerate(spec().cells())
    ]
    got = take(recipe, *reversed(paths), variant=None)
    assert {one.folder.name for one in got} == {"20261120T100000Z-dflash"}
    record = load_run(got[0].folder)
    assert record["status"] == "complete"
    assert [c["id"] for c in record["cells"]] == ids


def test_what_cannot_be_one_run_becomes_several(tmp_path: Path, recipe: Path) -> None:
    paths = [
        kit_report(tmp_path / "a", PROSE),
        kit_report(tmp_path / "b", PROSE, report(latency_ms=2.0)),  # the same cell again
        kit_report(tmp_path / "c", CODE, report(latency_ms=3.0), engine_version="0.33.0"),
        kit_report(tmp_path / "d", CODE, report(latency_ms=4.0), variant="ar"),
        kit_report(tmp_path / "e", CODE, report(latency_ms=5.0)),  # has room with the first
    ]
    got = take(recipe, *paths, variant=None)
    names = [one.folder.name for one in got]
    assert names[3] == "20261120T100000Z-ar"
    assert set(names[:3]) == {f"20261120T100000Z-dflash{end}" for end in ("", "-2", "-3")}
    assert names[4] in names[:2]


def test_a_report_of_several_cells(tmp_path: Path, recipe: Path) -> None:
    data = report(benchmark(), benchmark(pp=128), benchmark(pp=512), benchmark(is_context_prefill_phase=True))
    path = write_json(tmp_path / "all.json", data)
    (got,) = take(recipe, path, corpus="code")
    assert got.cells == (CODE, "code-pp128-tg128-d0-c1")
    assert got.left_out == ("pp512 tg128 d0 c1", "pp2048 tg128 d0 c1 (context prefill)")
    record = load_run(got.folder)
    assert {c["file"] for c in record["cells"]} == {got.file}
    assert got.file == f"report-{sha256_file(path)[:16]}.json"
    assert take(recipe, path)[0].cells == got.cells


def test_a_dry_run_writes_nothing(tmp_path: Path, recipe: Path) -> None:
    path = kit_report(tmp_path)
    (got,) = take(recipe, path, dry_run=True)
    assert got.folder == recipe / "results" / "gb10-128g" / "20261120T100000Z-dflash"
    assert list(recipe.iterdir()) == []


def test_a_sidecar_among_the_files_is_left_to_its_report(tmp_path: Path, recipe: Path) -> None:
    path = kit_report(tmp_path)
    assert len(take(recipe, path, Path(f"{path}.meta.json"))) == 1
    alone = tmp_path / "other.json.meta.json"
    write_json(alone, {})
    (tmp_path / "second").mkdir()
    assert "no 'benchmarks'" in refusal(tmp_path / "second", alone)


def test_every_problem_of_every_file_and_nothing_is_written(tmp_path: Path, recipe: Path) -> None:
    good = kit_report(tmp_path)
    page = tmp_path / "page.json"
    page.write_text("<html></html>")
    holes = write_json(tmp_path / "holes.json", report(benchmark(tg_throughput=None, ttfr=None)))
    text = refusal(recipe, good, page, tmp_path, holes, tmp_path / "none.json")
    for message in ("is an HTML page", "is a folder", ".tg_throughput:", ".ttfr:", "No such file"):
        assert message in text
    assert list(recipe.iterdir()) == []


def test_an_ambiguous_file_gets_its_choices(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / "r.json", report())
    cells = [cell(c, thinking=t) for c in ("prose", "code") for t in ("on", "off")]
    text = refusal(recipe, path, the_spec=spec(*cells))
    assert "pp2048 tg128 d0 c1 may be any of 4 planned cells" in text
    assert "--corpus prose|code and --thinking on|off, or name the file after its cell" in text
    assert "--thinking on|off, or" in refusal(recipe, path, the_spec=spec(*cells), corpus="code")
    (got,) = take(recipe, path, the_spec=spec(*cells), corpus="code", thinking="off")
    assert got.cells == (f"{CODE}-think-off",)


def test_the_name_of_the_file_tells_the_cell(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / f"{CODE}.json", report())
    assert take(recipe, path)[0].cells == (CODE,)


@pytest.mark.parametrize(
    ("meta", "options", "message"),
    [
        ({}, {"corpus": "code"}, f"is the cell {PROSE}, which the options contradict"),
        ({}, {"thinking": "on"}, "which the options contradict"),
        ({}, {"variant": "ar"}, "was measured on the variant 'dflash', not on 'ar'"),
        ({"variant": "x"}, {"variant": None}, "the recipe has no variant 'x'"),
        ({"recipe": "other"}, {}, "was measured for the recipe 'other', not tiny"),
        ({"cell": "prose-pp1-tg1-d0-c1"}, {}, "the recipe plans no cell 'prose-pp1-tg1-d0-c1'"),
        ({"cell": f"../../{PROSE}"}, {}, "the recipe plans no cell"),
        ({"argv": "llama-benchy"}, {}, "wrong values: argv"),
        ({"argv": ["x", 5]}, {}, "wrong values: argv"),
        ({"argv": 5, "started": 5, "ended": "now"}, {}, "wrong values: argv, started, ended"),
        ({"started": "2026-11-20T09:58:00"}, {}, "wrong values: started"),
        ({"engine_version": ["0.32"]}, {}, "wrong values: engine_version"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, recipe: Path, meta: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    assert message in refusal(recipe, kit_report(tmp_path, **meta), **options)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\xff"])
def test_a_broken_sidecar_is_refused(tmp_path: Path, recipe: Path, text: str) -> None:
    path = kit_report(tmp_path)
    beside = Path(f"{path}.meta.json")
    beside.write_text(text, encoding="latin-1")
    assert str(beside) in refusal(recipe, path)


def test_a_file_named_after_a_cell_that_it_did_not_measure(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / f"{PROSE}.json", report(benchmark(pp=128)))
    assert f"is named after the cell {PROSE}, but measured prose-pp128-tg128-d0-c1" in refusal(recipe, path)


@pytest.mark.parametrize(
    ("shown", "options", "message"),
    [
        (
            benchmark(pp=512),
            {},
            f"measured pp512 tg128 d0 c1, which the recipe does not plan\n    planned: {PROSE}",
        ),
        (benchmark(depth=4096), {}, "measured pp2048 tg128 d4096 c1"),
        (benchmark(), {"corpus": "poems"}, "the recipe plans no pp2048 tg128 d0 c1 with corpus poems"),
        (benchmark(), {"variant": None}, "--variant: one of dflash, ar"),
        (benchmark(), {"variant": "mtp", "corpus": "code"}, "the recipe has no variant 'mtp'"),
    ],
)
def test_what_is_not_planned_is_refused(
    tmp_path: Path, recipe: Path, shown: Any, options: dict[str, Any], message: str
) -> None:
    path = write_json(tmp_path / "r.json", report(shown))
    assert message in refusal(recipe, path, **options)


def test_one_cell_twice_in_a_file(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / "r.json", report(benchmark(), benchmark()))
    assert "holds pp2048 tg128 d0 c1 twice" in refusal(recipe, path, corpus="code")


def test_the_only_variant_needs_no_name(tmp_path: Path, recipe: Path) -> None:
    path = write_json(tmp_path / f"{PROSE}.json", report())
    (got,) = take(recipe, path, the_spec=spec(variants=["ar"]), variant=None)
    assert load_run(got.folder)["method"] == "AR"


def test_a_token_in_a_report_or_a_sidecar(tmp_path: Path, recipe: Path) -> None:
    token = "hf_" + "aB3" * 11
    path = write_json(tmp_path / f"{PROSE}.json", report(model=token))
    assert "access token" in refusal(recipe, path)
    kit = kit_report(tmp_path / "kit", argv=["llama-benchy", "--extra-header", token])
    assert "kit/prose-pp2048-tg128-d0-c1.json.meta.json: holds what looks like" in refusal(recipe, kit)
    kept = kit_report(tmp_path / "hidden", argv=["llama-benchy", "--api-key", "abc"])
    (got,) = take(recipe, kept)
    assert load_run(got.folder)["cells"][0]["argv"] == ["llama-benchy", "--api-key", "<hidden>"]


@pytest.mark.parametrize("machine", ["", "../x", "a b"])
def test_a_machine_that_is_no_name(tmp_path: Path, recipe: Path, machine: str) -> None:
    with pytest.raises(RecipegenError, match="is not a name for a machine"):
        take(recipe, kit_report(tmp_path), machine=machine)


def test_no_space_leaves_nothing(tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [kit_report(tmp_path), kit_report(tmp_path / "b", CODE, report(latency_ms=2.0), variant="ar")]
    write = module.write_atomic
    written: list[Path] = []

    def second_fails(path: Path, data: bytes, **options: Any) -> None:
        if written:
            raise EnvironmentLacks(f"cannot write {path}: No space left on device")
        written.append(path)
        write(path, data, **options)

    monkeypatch.setattr(module, "write_atomic", second_fails)
    with pytest.raises(EnvironmentLacks, match="No space left"):
        take(recipe, *paths, variant=None)
    assert written and list(iter_runs(recipe)) == []
    assert list((recipe / "results" / "gb10-128g").iterdir()) == []


def test_collected_reports_are_judged(tmp_path: Path) -> None:
    """A prefill of 40,619 tok/s from a control chunk, as in reports of others, never gets into the table unmarked."""
    planned = small("vllm-prebuilt")
    shape = planned.cell(planned.bench.headline)
    times = {"ttfr": metric([3.15] * 4), "e2e_ttft": metric([570.0] * 4)}
    fast = benchmark(shape.pp, shape.tg, pps=[40_619.0] * 4, **times)
    path = write_json(tmp_path / f"{shape.id}.json", report(fast, version="0.3.7"))
    recipe = tmp_path / "recipes" / planned.name
    recipe.mkdir(parents=True)
    (got,) = collect(
        recipe,
        planned,
        [path],
        variant=planned.headline,
        machine="gb10-128g",
        judge=lambda run, record: put_verdicts(planned, run, record),
    )
    (stored,) = load_run(got.folder)["cells"]
    assert stored["verdict"] is not None and stored["verdict"]["verdict"] == "too-fast"
    assert "something answers before the model does" in stored["verdict"]["reasons"][0]


def test_when_judging_fails_nothing_is_left(tmp_path: Path, recipe: Path) -> None:
    def broken(run: Path, record: object) -> None:
        assert (run / f"{PROSE}.json").is_file()
        raise RecipegenError("the catalog cannot be used")

    with pytest.raises(RecipegenError, match="catalog"):
        take(recipe, write_json(tmp_path / f"{PROSE}.json", report()), judge=broken)
    assert list(iter_runs(recipe)) == []
