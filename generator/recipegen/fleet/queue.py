"""Recipes over groups of machines, by Ray: a queue a lane, and for each group a task that takes recipes off it one at a
time. Owns the way into Ray and out of it; Ray runs on this machine alone, the others need none."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from recipegen.errors import EXIT_MEASUREMENT, EnvironmentLacks, RecipegenError
from recipegen.fleet.job import Ended, measure
from recipegen.fleet.plan import Group, Job, Lane

_STORE_BYTES = 80 << 20
"""Ray's object store: its least size; nothing of ours lies in it."""
_LOOK_S = 0.3
_SETTINGS = {
    # Ray would end its tasks when 95 % of the memory is in use, which is what a model on this machine leaves.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would run its tasks in a copy of this folder.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # A measurement outlives its task where it must, to take its server down.
    "RAY_kill_child_processes_on_worker_exit": "0",
    # What Ray starts would have less of the processor than others, and would be the first to go when memory is short.
    "RAY_worker_niceness": "0",
    "RAY_worker_oom_score_adjustment": "0",
}

Hear = Callable[[Group, Job, "dict[str, Any] | Ended | None"], None]
"""Gets what happens: None when a group begins a recipe, its events, its end."""


def run(lanes: Sequence[Lane], logs: Path, hear: Hear) -> list[Job]:
    """Measures every recipe, each on the next free group of its lane; a group whose machines are gone gets no more.

    A recipe whose group is lost goes to another one, once.

    Args:
        logs: folder for what each measurement says.

    Returns:
        Recipes that no group was left for.

    Raises:
        EnvironmentLacks: Ray is not installed, or does not start.
        KeyboardInterrupt: after all that was started is down.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ.update(_SETTINGS)
    ray = _ray()
    # Short, because Ray's sockets lie deep in it, and a socket's path has 107 characters at most (unix(7)).
    folder = tempfile.mkdtemp(prefix="rg-", dir="/tmp")
    # Ray takes SIGTERM for itself, which here ends a command as Ctrl-C does.
    before = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(
                address="local",
                num_cpus=sum(len(lane.groups) for lane in lanes),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
        except Exception as error:  # Ray raises what its parts raise
            raise EnvironmentLacks(
                f"Ray does not start: {error}", hint="pip install --upgrade 'recipegen[fleet]'"
            ) from error
        signal.signal(signal.SIGTERM, before)
        return _Run(ray, lanes, logs, hear, threads).to_the_end()
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise EnvironmentLacks(
            "the queue of --hosts is Ray's, which is not installed", hint="pip install 'recipegen[fleet]'"
        ) from error
    return ray


class _Run:
    """Lanes under way."""

    def __init__(self, ray: Any, lanes: Sequence[Lane], logs: Path, hear: Hear, threads: str | None) -> None:
        from ray.util.queue import Queue

        no_core = {"num_cpus": 0}
        self._ray, self._hear, self._logs, self._threads = ray, hear, logs, threads
        self._reports = Queue(actor_options=no_core)
        self._task = ray.remote(num_cpus=1, max_retries=0)(work_off)
        self._own = {number: jobs for lane in lanes for number, jobs in lane.own.items()}
        self._lanes = [(list(lane.groups), Queue(actor_options=no_core)) for lane in lanes]
        for lane, (_, waiting) in zip(lanes, self._lanes, strict=True):
            waiting.put_nowait_batch(list(lane.waiting))

    def to_the_end(self) -> list[Job]:
        """Until every queue is empty, or no group is left for it."""
        refs: dict[Any, tuple[list[Group], Group]] = {}
        try:
            while self._begin(refs):
                ready, _ = self._ray.wait(list(refs), timeout=_LOOK_S)
                self._told()
                for ref in ready:
                    groups, group = refs.pop(ref)
                    if not self._ray.get(ref):
                        groups.remove(group)
        except BaseException as error:
            of_ray = self._ray.exceptions.RayError
            with suppress(of_ray):  # what ended it is told, not what came after
                self._stop(list(refs))
            if isinstance(error, of_ray):
                raise RecipegenError(
                    f"a task of the queue ended: {getattr(error, 'cause', None) or error}",
                    hint="the same command with --resume goes on",
                    exit_code=EXIT_MEASUREMENT,
                ) from error
            raise
        self._told()
        return [job for _, waiting in self._lanes for job in waiting.get_nowait_batch(waiting.qsize())]

    def _begin(self, refs: dict[Any, tuple[list[Group], Group]]) -> bool:
        """Sets every group to work that has none while some is waiting; whether any works now."""
        busy = {group.number for _, group in refs.values()}
        for groups, waiting in self._lanes:
            for group in [group for group in groups if group.number not in busy]:
                own = self._own.pop(group.number, ())
                if own or waiting.qsize():
                    ref = self._task.remote(group, own, waiting, self._reports, self._logs, self._threads)
                    refs[ref] = groups, group
        return bool(refs)

    def _told(self) -> None:
        for group, job, what in self._reports.get_nowait_batch(self._reports.qsize()):
            self._hear(group, job, what)

    def _stop(self, refs: Sequence[Any]) -> None:
        """Interrupts what runs, and waits until it has taken its servers down; what waits is left waiting."""
        for ref in refs:
            self._ray.cancel(ref)
        if refs:
            self._ray.wait(list(refs), num_returns=len(refs))
        self._told()


def work_off(group: Group, own: Sequence[Job], waiting: Any, reports: Any, logs: Path, threads: str | None) -> bool:
    """What one group does: its own recipes, then those that wait, until there are none or its machines are gone.

    Returns:
        Whether the group is still good: reached, and not lacking something for two recipes one after the other.
    """
    rest, lacking = list(own), 0
    for job in _next(rest, waiting):
        _report(reports, group, job, None)
        tell = partial(_report, reports, group, job)
        ended = measure(job, group, logs / f"{job.recipe}@{group.name}.log", tell, threads=threads)
        tell(ended)
        lacking = lacking + 1 if ended.lacks else 0
        if ended.again:
            waiting.put_nowait(replace(job, again=True, resume=False))
        if ended.gone or lacking > 1:
            waiting.put_nowait_batch([replace(one, resume=False) for one in rest])
            return False
    return True


def _report(reports: Any, group: Group, job: Job, what: dict[str, Any] | Ended | None) -> None:
    reports.put((group, job, what))


def _next(own: list[Job], waiting: Any) -> Iterator[Job]:
    from ray.util.queue import Empty

    while True:
        if own:
            yield own.pop(0)
            continue
        try:
            yield waiting.get_nowait()
        except Empty:
            return
