"""The Jinja environment: strict, with one filter for each target grammar. Owns no template."""

from __future__ import annotations

import traceback
from pathlib import Path

import jinja2
import markupsafe

from recipegen import quoting
from recipegen.errors import RecipegenError, Where


class Templates:
    """Templates of a repository, then those that recipegen ships.

    Args:
        own: the repository's templates/ folder; a file there stands before ours of the same name.
        html: whether pages are rendered, in which every value is escaped by itself.
    """

    def __init__(self, own: Path | None = None, *, html: bool = False) -> None:
        from recipegen.shipped import templates_dir

        shipped = templates_dir()
        same = own is None or not own.is_dir() or own.resolve() == shipped.resolve()
        self._folders = [shipped] if same or own is None else [own, shipped]
        self._copied: dict[str, bytes] = {}
        # Shell, Dockerfile, Markdown are no HTML: there, each value goes through its grammar's filter.
        self._environment = jinja2.Environment(
            autoescape=html,  # noqa: S701
            loader=jinja2.FileSystemLoader(self._folders),
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
            "html": quoting.html_text,
            "md": quoting.markdown_text,
            "md_code": quoting.markdown_code,
            "cell": quoting.markdown_cell,
            "url": quoting.url_text,
            "yaml": quoting.yaml_string,
            "compose": quoting.compose_string,
            "fenced": quoting.fenced_block,
            "comment": quoting.comment_text,
            "script_json": lambda value: markupsafe.Markup(quoting.script_json(value)),  # noqa: S704
            "paragraphs": quoting.markdown_paragraphs,
            "knob_names": lambda argv: {p.name for arg in argv for p in arg if isinstance(p, quoting.Var)},
        }

    def render(self, name: str, /, **context: object) -> str:
        """One template with its values put in.

        Raises:
            RecipegenError: the template is not there, is not Jinja, or names something that is not given.
        """
        try:
            return self._environment.get_template(name).render(**context)
        except jinja2.TemplateError as error:
            raise RecipegenError(
                f"the template {name} does not work: {error.message or error}",
                hint="the templates that recipegen ships show what is given to each",
                where=self._where(error),
            ) from error
        except UnicodeDecodeError as error:
            raise RecipegenError(f"the template {name} is not UTF-8: {error}") from error

    def read(self, name: str) -> bytes:
        """One file of the templates as it is, for what is copied into a kit."""
        if name not in self._copied:
            file = next(folder / name for folder in self._folders if (folder / name).is_file())
            self._copied[name] = file.read_bytes()
        return self._copied[name]

    def _where(self, error: jinja2.TemplateError) -> Where | None:
        """The line of the template that is to blame: Jinja puts it into the traceback."""
        if isinstance(error, jinja2.TemplateSyntaxError) and error.filename:
            return Where(Path(error.filename), error.lineno, 1)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
        return Where(Path(frames[-1].filename), frames[-1].lineno or 0, 1) if frames else None
