"""One recipe measured by one group: `recipegen bench` in a process of its own, what it says, and whether its machines
are still there when it fails. Owns no queue."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from recipegen.cluster.access import attempt, on_all, run_script
from recipegen.cluster.nodes import nodes_of
from recipegen.errors import EXIT_DONE, EXIT_ENVIRONMENT
from recipegen.fleet.plan import Group, Job, command_of, environment
from recipegen.proc import Process, describe_code

LOOK_S = 0.5
"""Between two looks at what a measurement has said."""
STOP_S = 300.0
"""What a measurement that is interrupted gets to take its server down, to copy its log and to write its record."""
_LAST_LINES = 20
_ERROR = "error: "
_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
"""When the task dies that would end it, a measurement takes its server down (setpriv(1) of util-linux)."""

Tell = Callable[[dict[str, Any]], None]
"""Gets each event of a measurement: those of `recipegen bench --json`, and `said` for a line of plain text."""


@dataclass(frozen=True)
class Ended:
    """How a recipe went on a group.

    Attributes:
        code: exit code of `recipegen bench`.
        runs: what it said of each run.
        said: the last lines of text, the error among them.
        gone: what is wrong with machines that cannot be reached any more, by name.
        begun: whether any cell was begun.
    """

    job: Job
    code: int
    runs: tuple[dict[str, Any], ...] = ()
    said: tuple[str, ...] = ()
    gone: dict[str, str] = field(default_factory=dict)
    begun: bool = False

    @property
    def whole(self) -> bool:
        """Whether everything was measured that was to be."""
        return self.code == EXIT_DONE

    @property
    def again(self) -> bool:
        """Whether the recipe is to be tried once more, because it may have been the group's fault."""
        return (bool(self.gone) or self.lacks) and not self.job.again

    @property
    def lacks(self) -> bool:
        """Whether something was lacking before anything was measured: an image, a model, space, a port."""
        return self.code == EXIT_ENVIRONMENT and not self.begun

    @property
    def why(self) -> str:
        """Why it is not whole, in a line: its error and the remedy, as `recipegen bench` said them last."""
        if self.gone:
            return "; ".join(f"{name}: {cause}" for name, cause in self.gone.items())
        errors = [at for at, line in enumerate(self.said) if line.lower().startswith(_ERROR)]
        if not errors:
            return describe_code(self.code)
        return " ".join(" ".join(self.said[errors[-1] :])[len(_ERROR) :].split())


def measure(job: Job, group: Group, log: Path, tell: Tell, *, threads: str | None = None) -> Ended:
    """Measures a recipe on a group; when interrupted, its server is taken down first.

    Args:
        log: all that it says, for the user.
        threads: see `fleet.plan.environment`.
    """
    runs: list[dict[str, Any]] = []
    heard: set[str] = set()
    said: deque[str] = deque(maxlen=_LAST_LINES)

    def hear(lines: Iterator[str]) -> None:
        for line in lines:
            event = _event(line) or {"event": "said", "text": line}
            heard.add(event["event"])
            if event["event"] == "said":
                said.append(line)
            elif event["event"] == "run":
                runs.append(event)
            tell(event)

    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="recipegen-") as folder:
        file = Path(folder, "cluster.yaml")
        group.write(file)
        argv = [*_WITH_US, *command_of(job, group, file, sys.executable)]
        child = Process(argv, log=log, env=environment(threads=threads))
        try:
            with log.open("rb") as stream:
                lines = _Lines(stream.read)
                while child.wait(LOOK_S) is None:
                    hear(lines.new())
                hear(lines.new())
        finally:
            code = child.terminate(STOP_S)
    gone = {} if code == EXIT_DONE else unreachable(group)
    return Ended(job, code, tuple(runs), tuple(said), gone, "cell_started" in heard)


def unreachable(group: Group) -> dict[str, str]:
    """What keeps machines of a group from being reached, by name; empty while all of them answer."""
    found = on_all(nodes_of(None, group.nodes), partial(attempt, lambda node: run_script(node, "exit 0\n")))
    return {fault.node: fault.cause for _, faults in found for fault in faults}


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) and isinstance(data.get("event"), str) else None


class _Lines:
    """The whole lines of a text that grows."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read, self._rest = read, b""

    def new(self) -> Iterator[str]:
        """Those that have come since the last look."""
        *whole, self._rest = (self._rest + self._read()).split(b"\n")
        return (line.decode(errors="replace") for line in whole)
