"""`bench --hosts`: many recipes over several machines, each on the next that is free. Owns what is asked, said and kept
of it; the queue is the fleet room's."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recipegen.cli import plain
from recipegen.errors import EXIT_MEASUREMENT, RecipegenError
from recipegen.files import sha256_bytes
from recipegen.workspace import Workspace, require_allowed, variant_of

if TYPE_CHECKING:
    from recipegen.fleet.job import Ended
    from recipegen.fleet.journal import Journal, Status
    from recipegen.fleet.plan import Group, Job
    from recipegen.spec.completed import Spec

_OWN = {"hosts", "port", "resume", "no_index", "as_json", "cluster_file", "root"}
"""Options that a single recipe's measurement does not get as they were given."""
_ASIDE = {"retries", "image_file", "network", "models_dir"}
"""Options that do not change what is measured."""
_PORTS = 65535
_APART = {"base_url": "--base-url", "cluster_file": "--cluster", "runner": "--runner"}


def bench_on_hosts(context: click.Context, workspace: Workspace) -> None:
    """Measures all recipes of a call of `bench` that has --hosts.

    Raises:
        UsageError: an option that goes with one machine only.
        RecipegenError: a recipe or the cluster file is wrong, and nothing was started; or not all is measured.
    """
    from recipegen.fleet.journal import Journal, request_hash
    from recipegen.fleet.plan import Job, groups_of, lanes
    from recipegen.fleet.queue import run
    from recipegen.load.cluster_file import load_cluster_file

    asked = context.params
    for option, word in _APART.items():
        if asked[option] not in (None, "docker"):
            raise click.UsageError(f"--hosts says where servers run: no {word} {asked[option]}")
    groups = groups_of(load_cluster_file(asked["hosts"]))
    specs = {name: _in_order(workspace, name, asked["variants"]) for name in dict.fromkeys(asked["names"])}
    port = asked["port"] or max(spec.run.port for spec, _ in specs.values())
    if port + len(groups) > _PORTS:
        raise click.UsageError(f"each group has a port of its own, from {port} on: a lower --port")
    options = (*_given_again(context, _OWN), f"--root={workspace.repository.root}")
    jobs = [Job(name, spec.hardware.nodes, port, options) for name, (spec, _) in specs.items()]
    wanted = _given_again(context, _OWN | _ASIDE)
    requests = {name: request_hash(kit_sha256, wanted) for name, (_, kit_sha256) in specs.items()}
    folder = Path.home() / ".cache" / "recipegen" / "fleet" / sha256_bytes(bytes(workspace.repository.root))[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder / "lock"):
        journal = Journal(folder / "journal.json")
        whole = _whole(journal, requests) if asked["resume"] else {}
        bound = _bound(journal, requests, groups) if asked["resume"] else {}
        planned = lanes(groups, [job for job in jobs if job.recipe not in whole], bound)
        if not asked["resume"]:
            journal.forget(*requests)
        told = _Told(journal, requests, len(specs), asked["as_json"], whole)
        left = run(planned, folder, told.hear) if planned else []
    if not asked["no_index"]:
        from recipegen.publish.tables import write_index

        write_index(workspace)
    told.close(left, folder)


def _in_order(workspace: Workspace, name: str, variants: Sequence[str]) -> tuple[Spec, str]:
    """A recipe that can be measured as it is, and the hash of its kit."""
    from recipegen.cli.kits import require_rendered
    from recipegen.cli.lint import warn_of_errors

    spec = workspace.runnable(name)
    require_allowed(spec, [variant_of(spec, variant) for variant in variants])
    kit_sha256 = require_rendered(workspace, name)
    warn_of_errors(workspace, name)
    return spec, kit_sha256


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One call at a time for a repository: two would measure on the same machines.

    Raises:
        RecipegenError: another one is under way.
    """
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecipegenError(
                "another `bench --hosts` of this repository is under way", hint="wait for it, or end it with Ctrl-C"
            ) from None
        yield


def _given_again(context: click.Context, without: set[str]) -> tuple[str, ...]:
    """The options of this call, as every single measurement gets them too."""

    def words() -> Iterator[str]:
        for option in context.command.params:
            name = option.name or ""
            given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if not isinstance(option, click.Option) or not given or name in without:
                continue
            value = context.params[name]
            if option.is_flag:
                yield option.opts[0]
            else:
                yield from (f"{option.opts[0]}={one}" for one in (value if option.multiple else [value]))

    return tuple(words())


def _whole(journal: Journal, requests: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Recipes that are measured already, and on which machines."""
    entries = {name: journal.entry(name, request) for name, request in requests.items()}
    return {name: entry.machines for name, entry in entries.items() if entry is not None and entry.whole}


def _bound(journal: Journal, requests: Mapping[str, str], groups: Sequence[Group]) -> dict[str, int]:
    """Recipes that a group has begun, where it is still one: half a run of another machine is not gone on with."""
    numbers = {tuple(node.name for node in group.nodes): group.number for group in groups}
    entries = {name: journal.entry(name, request) for name, request in requests.items()}
    return {name: numbers[entry.machines] for name, entry in entries.items() if entry and entry.machines in numbers}


class _Told:
    """What the user sees of it and what the journal keeps."""

    def __init__(
        self,
        journal: Journal,
        requests: Mapping[str, str],
        total: int,
        as_json: bool,
        whole: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._journal, self._requests, self._total, self._as_json = journal, requests, total, as_json
        self._ended: dict[str, tuple[Group, Ended]] = {}
        self._begun = len(whole)
        for name, machines in whole.items():
            self._say(name, machines, {"event": "measured_already"}, "measured already")

    def hear(self, group: Group, job: Job, what: dict[str, Any] | Ended | None) -> None:
        """See `fleet.queue.Hear`."""
        name, machines = job.recipe, tuple(node.name for node in group.nodes)
        if what is None:
            self._begun += not job.again
            self._journal.note(name, self._requests[name], group, "begun")
            words = f"begins ({self._begun} of {self._total} recipes){', going on' if job.resume else ''}"
            self._say(name, machines, {"event": "begun", "resume": job.resume}, words)
        elif isinstance(what, dict):
            self._say(name, machines, what, _words(what))
        else:
            self._ended[name] = group, what
            if what.whole or what.begun:
                status: Status = "whole" if what.whole else "failed"
                self._journal.note(name, self._requests[name], group, status, [run["folder"] for run in what.runs])
            else:
                self._journal.forget(name)
            data = {key: value for key, value in asdict(what).items() if key in ("code", "runs", "gone")}
            again = "; it is tried once more where a group is free" if what.again else ""
            count = f"{len(what.runs)} run{'s' * (len(what.runs) != 1)}"
            words = f"done, {count}" if what.whole else f"FAILED, {what.why}{again}"
            why = None if what.whole else what.why
            self._say(name, machines, {"event": "ended", "whole": what.whole, "why": why, **data}, words)

    def close(self, left: Sequence[Job], logs: Path) -> None:
        """What has come of all of them.

        Raises:
            RecipegenError: not everything is measured.
        """
        for job in left:
            self._say(job.recipe, (), {"event": "not_measured"}, "not measured: no group of machines is left for it")
        failed = {name: ended for name, (_, ended) in self._ended.items() if not ended.whole}
        missing = list(dict.fromkeys([*failed, *(job.recipe for job in left)]))
        if missing:
            why = f": {failed[missing[0]].why}" if missing[0] in failed else ""
            raise RecipegenError(
                f"{len(missing)} of {self._total} recipes are not whole: {', '.join(missing)}{why}",
                hint=f"the same command with --resume goes on; what each one said is in {logs}",
                exit_code=EXIT_MEASUREMENT,
            )

    def _say(self, recipe: str, machines: Sequence[str], event: dict[str, Any], words: str | None) -> None:
        if self._as_json:
            click.echo(json.dumps({**event, "recipe": recipe, "machines": list(machines)}))
        elif words:
            click.echo(plain(": ".join([*(["+".join(machines)] if machines else []), recipe, words])))


def _words(event: dict[str, Any]) -> str | None:
    """An event of a single measurement in a line; None for what would be too much of many of them."""
    kind = event["event"]
    if kind in ("note", "said"):
        return str(event.get("text", ""))
    if kind == "cell_done":
        return f"{event.get('cell')}: done, {event.get('summary')}"
    if kind == "cell_failed":
        return f"{event.get('cell')}: FAILED, {event.get('reason')}"
    return None
