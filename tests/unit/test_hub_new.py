"""First recipes from hub models, by real HTTP against a stand-in on the loopback address."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recipegen import catalog
from recipegen.errors import RecipegenError
from recipegen.hub.client import describe, small_file
from recipegen.hub.facts import CONFIG_LIMIT
from recipegen.hub.first import FirstRecipe
from recipegen.hub.known import LLAMA_CPP_IMAGE, LLAMA_CPP_REF
from recipegen.load.repo import Repository
from recipegen.render.write import compare
from recipegen.scaffold import init_repository, new_from_hub
from recipegen.workspace import Workspace
from tests.support.hub_models import CASES
from tests.support.hub_session import hub_env, hub_in_process
from tests.support.hub_stand_in import SHA, TOKEN, HubModelRepo, HubStandIn, HubWorld
from tests.support.lock_stand_in import Reply

OVER = ("nvidia/GLM-5.2-NVFP4",)
"""Models that no machine of the catalog holds: the linter's error about memory is the answer."""


def new_workspace(folder: Path) -> Workspace:
    init_repository(folder)
    return Workspace(Repository(folder))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return new_workspace(tmp_path / "repo")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWorld]:
    with hub_in_process(tmp_path) as world:
        yield world


@dataclass(frozen=True)
class Made:
    """A recipe made from the hub."""

    workspace: Workspace
    name: str
    first: FirstRecipe

    @property
    def text(self) -> str:
        return (self.workspace.repository.recipes / self.name / "recipe.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Every model of the table, made once; gated ones by a user who may read them."""
    home = tmp_path_factory.mktemp("hub")
    workspace = new_workspace(home / "repo")
    with hub_in_process(home, token=TOKEN) as world:
        world.models |= {hf_id: case.repo() for hf_id, case in CASES.items()}
        found = {}
        for number, hf_id in enumerate(CASES):
            _, _, first = new_from_hub(workspace, f"m{number}", hf_id)
            found[hf_id] = Made(workspace, f"m{number}", first)
    return found


@pytest.mark.parametrize("hf_id", CASES)
def test_a_first_recipe_says_what_the_hub_and_the_catalog_say(made: dict[str, Made], hf_id: str) -> None:
    case, one = CASES[hf_id], made[hf_id]
    spec = one.workspace.spec(one.name)
    model = spec.main_model
    assert (model.hf_id, model.revision) == (hf_id, SHA)
    assert (model.quantization, model.format) == (case.label, case.format)
    assert one.first.known.family == case.family
    assert [name for name in spec.variants if name in ("ar", "dflash", "mtp")] == list(case.variants)
    assert case.image in spec.image.base
    assert spec.hardware.id == case.hardware
    flags = spec.variants["ar"].flags
    assert flags.get("max-model-len", flags.get("ctx-size")) == case.context
    assert {key: flags.get(key) for key in case.flags} == dict(case.flags)
    assert spec.status == "planned"
    for words in case.said:
        assert words in " ".join(line.removeprefix("# ") for line in one.text.splitlines())


@pytest.mark.parametrize("hf_id", CASES)
def test_a_first_recipe_is_rendered_and_without_errors(made: dict[str, Made], hf_id: str) -> None:
    one = made[hf_id]
    spec = one.workspace.spec(one.name)
    assert not compare(one.workspace.kit(spec), one.workspace.folder(spec))
    errors = {finding.rule.id for finding in one.workspace.findings(one.name) if finding.severity == "error"}
    assert errors == ({"FIT_OVER_MEMORY"} if hf_id in OVER else set())


@pytest.mark.parametrize("hf_id", CASES)
def test_nothing_in_it_is_made_up(made: dict[str, Made], hf_id: str) -> None:
    """Drafters are the catalog's, parsers too; licence and base model are the hub's."""
    one = made[hf_id]
    spec, facts = one.workspace.spec(one.name), one.first.known.facts
    known = {drafter.hf_id for drafter in facts.drafters} if facts else set()
    assert {model.hf_id for model in spec.models.values() if model.role == "drafter"} <= known
    if facts is None:
        assert not {"reasoning-parser", "tool-call-parser"} & set(spec.variants["ar"].flags)
        assert "The catalog does not know this model" in one.first.open[-1]
    card = CASES[hf_id].info.get("cardData", {})
    assert spec.main_model.license == card.get("license")
    theirs = None if facts is None or one.first.known.how != "repository" else facts.base_model
    assert spec.main_model.base_model == (card.get("base_model") or (theirs if theirs != hf_id else None))


def test_what_is_not_known_is_said(made: dict[str, Made]) -> None:
    said = " ".join(made["zai-org/GLM-4.5-Air"].first.open)
    assert "Not said by any file of the repository: licence, base model." in said
    assert not any("Not said" in text for text in made["unsloth-like/Qwen3.6-35B-A3B-NVFP4"].first.open)


def test_the_estimate_reads_the_layers_of_the_hub(made: dict[str, Made]) -> None:
    """The catalog does not know the model: from config.json alone it is known whether it fits."""
    for hf_id in ("RedHatAI/Qwen3-8B-quantized.w4a16", "someone/Mistral-7B-GPTQ"):
        assert made[hf_id].first.estimates["ar"].verdict == "fits"


def test_a_variant_that_is_left_out_takes_its_drafter_and_its_patch_along(made: dict[str, Made]) -> None:
    with_one = made["unsloth-like/Qwen3.6-35B-A3B-NVFP4"]
    assert with_one.workspace.spec(with_one.name).image.patches == ("dflash-layer-offset",)
    without = made["google/gemma-4-31B-it"]
    spec = without.workspace.spec(without.name)
    assert (tuple(spec.variants), tuple(spec.models), spec.image.patches) == (("ar",), ("model",), ())


def test_a_model_with_copies_of_its_weights_is_fetched_once(made: dict[str, Made]) -> None:
    one = made["someone/gpt-oss-120b-abliterated"]
    assert one.workspace.spec(one.name).main_model.files == ("*.json", "model-*.safetensors")


def test_a_gguf_recipe_fetches_one_quantization(made: dict[str, Made]) -> None:
    one = made["unsloth/MiniMax-M2.7-GGUF"]
    spec = one.workspace.spec(one.name)
    assert spec.engine.name == "llama.cpp"
    assert spec.main_model.file == "UD-Q2_K_XL/MiniMax-M2.7-UD-Q2_K_XL-00001-of-00003.gguf"
    assert all(name.startswith("UD-Q2_K_XL/") for name in spec.main_model.files)
    assert spec.models["tokenizer"].hf_id == "MiniMaxAI/MiniMax-M2.7"


def test_the_build_of_llama_cpp_is_one_that_the_catalog_vouches_for() -> None:
    facts = catalog.image_facts(LLAMA_CPP_IMAGE)
    assert facts is not None
    assert any(LLAMA_CPP_REF in (works.when or "") for works in facts.works)


def test_the_same_answers_make_the_same_bytes(hub: HubWorld, tmp_path: Path) -> None:
    hf_id = "unsloth-like/Qwen3.6-35B-A3B-NVFP4"
    hub.models[hf_id] = CASES[hf_id].repo()
    texts = [new_from_hub(new_workspace(tmp_path / str(n)), "a", hf_id)[2].text for n in range(2)]
    assert texts[0] == texts[1]


# The way to the hub.

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16"}


def plain(config: Any = CONFIG, **info: Any) -> HubModelRepo:
    data = config if isinstance(config, bytes | int) else json.dumps(config).encode()
    return HubModelRepo({"config.json": data, "model.safetensors": 10**9}, info)


def test_a_renamed_model_gets_its_name_of_today(hub: HubWorld, workspace: Workspace) -> None:
    hub.renamed["old/name"] = "new/name"
    hub.models["new/name"] = plain()
    first = new_from_hub(workspace, "a", "old/name")[2]
    assert workspace.spec("a").main_model.hf_id == "new/name"
    assert "The hub calls old/name by this name now." in first.facts


def test_an_unknown_quantization_is_said_in_plain_words(hub: HubWorld, workspace: Workspace) -> None:
    hub.models["o/m"] = plain({**CONFIG, "dtype": None})
    said = new_from_hub(workspace, "a", "o/m")[2].facts
    assert "Quantization unknown (safetensors), no file of the repository says it." in said


@pytest.mark.parametrize(
    ("pipeline", "told"), [("text-to-image", True), ("image-text-to-text", False), ("x\ny", False), (None, False)]
)
def test_what_the_hub_files_under_another_task_is_told(
    hub: HubWorld, workspace: Workspace, pipeline: str | None, told: bool
) -> None:
    hub.models["o/m"] = plain(pipeline_tag=pipeline)
    said = new_from_hub(workspace, "a", "o/m")[2].open
    assert any("The hub files it under text-to-image" in text for text in said) is told


def test_a_layout_of_mistral_and_code_in_the_repository_are_told(hub: HubWorld, workspace: Workspace) -> None:
    hub.models["o/m"] = HubModelRepo({"params.json": b"{}", "consolidated.safetensors": 10**9})
    said = " ".join(new_from_hub(workspace, "a", "o/m")[2].open)
    assert "config-format, load-format and tokenizer-mode" in said
    hub.models["o/c"] = plain({**CONFIG, "auto_map": {"AutoModel": "modeling.Model"}})
    first = new_from_hub(workspace, "b", "o/c")[2]
    assert any("does not let the server run it" in text for text in first.open)
    assert "trust-remote-code" not in workspace.spec("b").variants["ar"].flags


def test_a_file_in_the_store_of_large_files_is_read_without_the_token(
    hub: HubWorld, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.models["o/m"] = HubModelRepo(plain({**CONFIG, "max_position_embeddings": 777}).files, lfs=("config.json",))
    new_from_hub(workspace, "a", "o/m")
    assert workspace.spec("a").variants["ar"].flags["max-model-len"] == 777
    assert [bool(token) for _, path, token in hub.seen if path.startswith("/api/")] == [True]


def test_private_and_gated_models_need_the_token(
    hub: HubWorld, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.models |= {"o/private": plain(private=True), "o/gated": plain(gated="manual")}
    with pytest.raises(RecipegenError, match="the hub has no model 'o/private', or it is private") as caught:
        new_from_hub(workspace, "a", "o/private")
    assert caught.value.exit_code == 2
    with pytest.raises(RecipegenError, match="o/gated is gated") as caught:
        new_from_hub(workspace, "a", "o/gated")
    assert caught.value.exit_code == 3
    assert "https://huggingface.co/o/gated" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "Private: others cannot download it." in new_from_hub(workspace, "private", "o/private")[2].facts
    new_from_hub(workspace, "gated", "o/gated")
    assert workspace.spec("gated").main_model.gated
    for name in ("private", "gated"):
        written = b"".join(p.read_bytes() for p in (workspace.repository.recipes / name).rglob("*") if p.is_file())
        assert TOKEN.encode() not in written


JSON = {"Content-Type": "application/json"}


def described(**fields: Any) -> Reply:
    return Reply(200, json.dumps({"id": "o/m", "sha": SHA, "siblings": [], **fields}).encode(), JSON)


@pytest.mark.parametrize(
    ("reply", "exit_code", "message"),
    [
        (Reply(401, b"{}", {"X-Error-Code": "RepoNotFound"}), 2, "the hub has no model 'o/m', or it is private"),
        (Reply(404, b"{}"), 2, "the hub has no model 'o/m', or it is private"),
        (Reply(403, b"{}", {"X-Error-Code": "GatedRepo"}), 3, "o/m is gated"),
        (Reply(403, b"{}", {"X-Error-Message": "Access to this resource is disabled."}), 3, "the hub has disabled o/m"),
        (Reply(429, b"slow down", {"Retry-After": "30"}), 3, "the hub refused the model 'o/m' (status 429)"),
        (Reply(500, b"oh no"), 3, "the hub refused the model 'o/m' (status 500)"),
        (Reply(200, b"<html>no hub</html>"), 3, "the hub's answer for o/m makes no sense (no JSON)"),
        (Reply(200, b"[1]"), 3, "the hub's answer for o/m makes no sense (no description)"),
        (Reply(200, b"[" * 100_000), 3, "the hub's answer for o/m makes no sense (no JSON)"),
        (Reply(200, b'{"sha"', cut=20), 3, "the Hugging Face hub cannot be reached"),
        (described(sha="main"), 3, "the hub's answer for o/m makes no sense (no commit)"),
        (described(sha={}), 3, "the hub's answer for o/m makes no sense (no commit)"),
        (described(siblings=5), 2, "o/m holds no model that vLLM or llama.cpp can serve"),
        (described(siblings=[5, {"rfilename": 7}, {"rfilename": "a\nb"}, {}]), 2, "o/m holds no model that"),
        (described(siblings=[{"rfilename": "adapter_config.json", "size": 5}], cardData={"base_model": "a/b"}), 2,
         "o/m is an adapter (LoRA), not a model"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses(hub: HubWorld, workspace: Workspace, reply: Reply, exit_code: int, message: str) -> None:
    hub.special["/api/models/o/m"] = reply
    with pytest.raises(RecipegenError) as caught:
        new_from_hub(workspace, "a", "o/m")
    assert caught.value.message.startswith(message)
    assert caught.value.exit_code == exit_code
    assert "\n" not in caught.value.message
    assert [path.name for path in workspace.repository.recipes.iterdir()] == [".gitkeep"]


@pytest.mark.parametrize(
    ("config", "exit_code", "message"),
    [
        (b"not JSON", 3, "the hub's answer for o/m makes no sense (config.json is not JSON)"),
        (b"[" * 200_000, 3, "the hub's answer for o/m makes no sense (config.json is not JSON)"),
        (b"{}" + b" " * CONFIG_LIMIT, 2, "config.json of o/m is larger than 4 MiB"),
        (CONFIG_LIMIT + 1, 2, "config.json of o/m is larger than 4 MiB"),
    ],
)
def test_a_config_that_is_none_is_refused(
    hub: HubWorld, workspace: Workspace, config: Any, exit_code: int, message: str
) -> None:
    hub.models["o/m"] = plain(config)
    with pytest.raises(RecipegenError) as caught:
        new_from_hub(workspace, "a", "o/m")
    assert caught.value.message.startswith(message)
    assert caught.value.exit_code == exit_code


def test_a_file_that_is_larger_than_the_hub_said_is_not_read_to_its_end(hub: HubWorld) -> None:
    hub.models["o/m"] = plain()
    found = describe("o/m")
    hub.special[f"/o/m/resolve/{SHA}/config.json"] = Reply(200, b"x" * 5000)
    with pytest.raises(RecipegenError, match="is larger than"):
        small_file(found, "config.json", 1000)
    hub.special[f"/o/m/resolve/{SHA}/config.json"] = Reply(404)
    assert small_file(found, "config.json", 1000) is None
    assert small_file(found, "no-such.json", 1000) is None


HOSTILE = [
    "$(id)", "`id`", "x\ny: z", "\x1b[31m", "{{ 1 }}", "a: b # c", "'\"\\", "../../etc", "*", "&a", "!!python/object",
    "\u2028", "-x", "null", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_data(
    hub: HubWorld, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)  # a word in `gated` makes it so
    quantization = {"quant_method": value, "format": value, "bits": value, "config_groups": {value: {"weights": value}}}
    config = {
        "architectures": [value], "model_type": value, "dtype": value, "max_position_embeddings": value,
        "num_experts": value, "num_nextn_predict_layers": value, "auto_map": {value: value},
        "quantization_config": quantization,
    }  # fmt: skip
    model = plain(
        config,
        tags=[value, f"base_model:{value}", 5],
        cardData={"license": value, "base_model": [value], "license_name": value},
        gated=value,
        safetensors={"parameters": {value: 5, "BF16": value}},
        gguf={"architecture": value},
    )
    model.files |= {f"{value[:50]}.gguf": 5, "hf_quant_config.json": json.dumps({"quantization": value}).encode()}
    hub.models["o/m"] = model
    folder, _, first = new_from_hub(workspace, "a", "o/m")
    spec = workspace.spec("a")
    assert spec.main_model.quantization == "unknown"
    assert spec.main_model.base_model is None
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert first.model.context is None
    assert not [finding for finding in workspace.findings("a") if finding.severity == "error"]
    assert sorted(path.name for path in workspace.repository.recipes.iterdir()) == [".gitkeep", "a"]


@pytest.mark.parametrize(
    ("hf_id", "repo", "hint"),
    [
        ("z-lab/Qwen3.6-35B-A3B-DFlash", plain(), "Qwen/Qwen3.6-35B-A3B"),
        ("o/drafter", plain({**CONFIG, "architectures": ["DFlashDraftModel"]}), "its target"),
        ("o/drafter", plain({**CONFIG, "dflash_config": {"target_layer_ids": [1]}}), "its target"),
        ("o/drafter", plain({"architectures": ["Eagle3LlamaForCausalLM"], "model_type": "llama"}), "its target"),
    ],
)
def test_a_drafter_is_no_model(hub: HubWorld, workspace: Workspace, hf_id: str, repo: HubModelRepo, hint: str) -> None:
    hub.models[hf_id] = repo
    with pytest.raises(RecipegenError, match="is a drafter, which serves nobody alone") as caught:
        new_from_hub(workspace, "a", hf_id)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "hf_id", ["name", "a/b/c", "../x", "a/-b", "a b/c", "", "http://a/b", "a/b\n", "a..b/c", "a/b--c"]
)
def test_what_is_no_hub_id_is_told_without_asking(hub: HubWorld, workspace: Workspace, hf_id: str) -> None:
    with pytest.raises(RecipegenError, match="is not a Hugging Face id") as caught:
        new_from_hub(workspace, "a", hf_id)
    assert caught.value.exit_code == 2
    assert hub.seen == []


def test_a_name_that_is_taken_is_told_without_asking(hub: HubWorld, workspace: Workspace) -> None:
    (workspace.repository.recipes / "a").mkdir()
    with pytest.raises(RecipegenError, match="is there already"):
        new_from_hub(workspace, "a", "o/m")
    with pytest.raises(RecipegenError, match="cannot name a recipe"):
        new_from_hub(workspace, "../a", "o/m")
    assert hub.seen == []


# The command.


def run(args: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "recipegen", *args]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)


def test_the_command_tells_facts_gaps_fit_findings_and_the_better_start(workspace: Workspace, tmp_path: Path) -> None:
    root, home = workspace.repository.root, tmp_path / "home"
    home.mkdir()
    with HubStandIn() as world:
        world.models |= {hf_id: case.repo() for hf_id, case in CASES.items()}
        env = {**hub_env(world.url, home), "HF_TOKEN": TOKEN}
        done = run(["new", "mine", "--model", "nvidia/Qwen3.6-35B-A3B-NVFP4", "--root", str(root)], env)
        other = run(["new", "other", "--model", "someone/gpt-oss-120b-abliterated", "--root", str(root)], env)
    assert done.returncode == 0, done.stderr
    assert "Quantization NVFP4 (modelopt), read from hf_quant_config.json" in done.stdout
    assert "35 billion parameters, 3 billion of them active" in done.stdout
    assert "fit ar: fits (" in done.stdout
    assert ": warning " in done.stdout
    assert ": error " not in done.stdout
    assert "a preset serves this repository, the better start: recipegen new qwen36-35b-mtp" in done.stdout
    assert "presets with other weights of this model: gpt-oss-120b" in other.stdout
    assert TOKEN not in done.stdout + done.stderr + other.stdout + other.stderr
    written = [path for folder in (root, home) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []


def test_offline_ends_with_3_and_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    args = ["new", "mine", "--model", "owner/name", "--root", str(workspace.repository.root)]
    done = run(args, hub_env("http://127.0.0.1:9", tmp_path))
    assert done.returncode == 3
    assert done.stderr.startswith("error: the Hugging Face hub cannot be reached (")
    assert "recipegen catalog list" in done.stderr
    assert "Traceback" not in done.stderr
    told = run(args, {**hub_env("http://127.0.0.1:9", tmp_path), "HF_HUB_OFFLINE": "1"})
    assert told.returncode == 3
    assert "HF_HUB_OFFLINE is set" in told.stderr
    assert [path.name for path in workspace.repository.recipes.iterdir()] == [".gitkeep"]
