"""The Jinja environment: strict, with one filter for each target grammar. Owns no template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from recipegen import quoting


class Templates:
    """Templates of a repository, then those that recipegen ships.

    Args:
        own: the repository's templates/ folder; a file there stands before ours of the same name.
    """

    def __init__(self, own: Path | None = None) -> None:
        from recipegen.shipped import templates_dir

        shipped = templates_dir()
        folders = [shipped] if own is None or not own.is_dir() or own == shipped else [own, shipped]
        # Shell, Dockerfile and Markdown are written, not HTML: each value goes through the filter of its grammar.
        self._environment = jinja2.Environment(  # noqa: S701
            loader=jinja2.FileSystemLoader(folders),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "sh": quoting.shell_word,
            "sh_arg": quoting.shell_arg,
            "sh_command": quoting.shell_command,
            "docker": quoting.dockerfile_string,
            "md": quoting.markdown_text,
            "md_code": quoting.markdown_code,
            "cell": quoting.markdown_cell,
            "url": quoting.url_text,
            "yaml": quoting.yaml_string,
            "compose": quoting.compose_string,
            "fenced": quoting.fenced_block,
            "comment": quoting.comment_text,
            "paragraphs": quoting.markdown_paragraphs,
            "knob_names": lambda argv: {p.name for arg in argv for p in arg if isinstance(p, quoting.Var)},
        }

    def render(self, name: str, /, **context: Any) -> str:
        """One template with its values put in.

        Raises:
            jinja2.UndefinedError: the template names something that is not given.
        """
        return self._environment.get_template(name).render(**context)
