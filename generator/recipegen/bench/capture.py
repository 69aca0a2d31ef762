"""A canonical prompt on a server that is up: asked, the host sampled meanwhile, all of it kept beside the run. Owns how
these come together; `verified` owns the requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recipegen.bench.sampler import Sampler, write_metrics
from recipegen.bench.verified import FILE, Prompt, capture, capture_problems
from recipegen.engines import engine
from recipegen.engines.base import AUTOREGRESSIVE
from recipegen.files import sha256_bytes, write_atomic

if TYPE_CHECKING:
    from recipegen.bench.display import Display
    from recipegen.bench.session import Request
    from recipegen.results.store import RunWriter
    from recipegen.runners.base import ServerPlan


def take_capture(request: Request, prompt: Prompt, plan: ServerPlan, writer: RunWriter, display: Display) -> None:
    """Writes verified.json and verified.metrics.json, and names them in the record with what is wrong with them."""
    spec = request.spec
    names = engine(spec.engine.name).metric_names
    with Sampler(plan.base_url, names, host=request.options.runner != "endpoint") as sampler:
        found = capture(plan.base_url, spec.served_name, prompt, names, tell=display.note)
    raw = (json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()
    write_atomic(writer.folder / FILE, raw)
    problems = capture_problems(found, speculative=spec.variants[plan.variant].method != AUTOREGRESSIVE)
    writer.record["verified"] = {
        "file": FILE,
        "sha256": sha256_bytes(raw),
        "metrics": write_metrics(writer.folder, FILE.removesuffix(".json"), sampler.data()),
        "problems": problems,
    }
    writer.write()
    for problem in problems:
        display.note(f"{prompt.id}: {problem}")
