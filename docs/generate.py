"""Write the pages that follow from the code: command line, dialects, metrics, models, tables of the store, tasks of GIFT-Eval.

    python docs/generate.py            write what differs
    python docs/generate.py --check    write nothing; end with 1 when a page differs (the tests and `make docs` do this)

A page is generated between a pair of comments `<!-- generated: NAME -->` and `<!-- end -->`; what stands around them is written by hand.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MARK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cell(value: object) -> str:
    """A value as the content of one cell of a Markdown table."""
    text = " ".join(str(value).split())
    # A tag in a metavar or a summary would be taken for HTML.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(v) for v in row)} |" for row in rows)])


def clean(text: str | None) -> str:
    r"""A command's help as Markdown: click's `\b` paragraphs become code."""
    out = []
    for part in inspect.cleandoc(text or "").split("\n\n"):
        if part.startswith("\b\n"):
            block = inspect.cleandoc(part.removeprefix("\b\n"))
            head, _, rest = block.partition("\n")
            lead = f"{head}\n\n" if head.endswith(":") else ""
            out.append(f"{lead}```text\n{inspect.cleandoc(rest if lead else block)}\n```")
        else:
            out.append(part.replace("<", "&lt;"))
    return "\n\n".join(out)


def options(command: click.Command, name: str) -> str:
    """The table of a command's arguments and options, with the environment variables that click reads."""
    context = click.Context(command)
    rows = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            rows.append([f"`{parameter.make_metavar(context)}`", "", "", ""])
        elif isinstance(parameter, click.Option) and not parameter.hidden:
            names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
            takes = "" if parameter.is_flag else f" `{parameter.make_metavar(context)}`"
            text = re.sub(r"\s*\[default: (.*)\]", "", parameter.help or "")
            written = re.search(r"\[default: (.*)\]", parameter.help or "")
            text += " Needed." if parameter.required else ""
            variable = parameter.envvar or f"{name}_{parameter.name}".upper().replace(" ", "_").replace("-", "_")
            shown = f"`{variable}`" if parameter.expose_value and parameter.name != "help" else ""
            rows.append([names + takes, text, written[1] if written else default(parameter), shown])
    return table(["option", "meaning", "default", "variable"], rows) if rows else ""


def default(option: click.Option) -> str:
    """A default as one would type it, "" where there is none to show."""
    value: Any = option.default
    if option.is_flag or not isinstance(value, str | int | float | list | tuple | Path):
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"`{text}`" if text else ""


def commands(command: click.Command, name: str, level: int = 2) -> Iterable[str]:
    """A section for a command, then those of its subcommands."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"{'#' * level} {name}\n\n```text\n{usage}\n```\n\n{clean(command.help)}"
    if listed := options(command, name):
        yield listed
    if isinstance(command, click.Group):
        for sub in sorted(command.list_commands(context)):
            found = command.get_command(context, sub)
            assert found is not None
            yield from commands(found, f"{name} {sub}", min(level + (level > 2 or name == "harness"), 4))


def cli() -> str:
    """The command line, from click's own records."""
    from harness.cli import build

    return "\n\n".join(commands(build(), "harness"))


def metrics() -> str:
    """A table of the metrics, and each one's definition."""
    from harness.metrics import METRICS

    rows = [[f"`{m.name}`", m.formula, m.direction, m.unit or "none", m.range, m.dialect] for m in METRICS]
    parts = [table(["metric", "formula", "better", "unit", "range", "dialect"], rows)]
    seen: dict[object, list[str]] = {}
    for metric in METRICS:
        value: Any = metric.value
        seen.setdefault(value.func if isinstance(value, partial) else value, []).append(f"`{metric.name}`")
    for function, names in seen.items():
        parts.append(f"## {', '.join(names)}\n\n{doctest(inspect.getdoc(function) or '')}")
    return "\n\n".join(parts)


def dialects() -> str:
    """A table of the built-in scoring dialects."""
    from harness_results.dialects.infos import BUILT_IN

    rows = [[f"`{d.name}`", d.version, d.summary, ", ".join(f"`{name}`" for name in d.metrics), d.source] for d in BUILT_IN.values()]
    return table(["dialect", "version", "what it does", "metrics", "source"], rows)


def doctest(text: str) -> str:
    """A docstring whose examples are fenced."""
    prose, found, example = text.partition(">>>")
    return prose.strip().replace("<", "&lt;") + (f"\n\n```python\n{found}{example}\n```" if found else "")


def models() -> str:
    """The models of the plugins in this repository, from what they declare."""
    from harness.plugins import load

    plugins = load()
    ours = {re.search(r'^name = "(.*)"', p.read_text(), re.MULTILINE)[1]: p.parent for p in sorted(ROOT.glob("plugins/*/pyproject.toml"))}  # type: ignore[index]
    parts = []
    for distribution, folder in ours.items():
        entries = [e.info for _, e in sorted(plugins.models.items()) if e.distribution == distribution]
        if not entries and distribution in {origin for origin, _ in plugins.origins.values()}:
            continue  # it brings something else
        if not entries:
            reasons = [f"{f.reason}. {f.install}" for f in plugins.failures.values() if f.distribution == distribution]
            raise SystemExit(f"{distribution} registers no model here: {' '.join(reasons) or 'type: make install'}")
        rows = []
        for info in entries:
            size = f"{info.parameters:,}" if info.parameters is not None else "?"
            rows.append([f"`{info.name}`", info.summary, info.model_type, info.output, ", ".join(info.modes), size, info.license])
        parts.append(f"## {distribution}\n\nFolder `{folder.relative_to(ROOT)}`.")
        parts.append(table(["model", "what it is", "type", "output", "modes", "parameters", "licence"], rows))
    return "\n\n".join(parts)


def store() -> str:
    """The tables of the results database."""
    from harness_results.schema import describe

    # `describe` is Markdown for a terminal; one level down, it is a part of this page.
    return re.sub(r"^## ", "### ", describe(), flags=re.MULTILINE).strip()


def api() -> str:
    """The names that `import harness` gives, and the methods of `Results`, each with the first sentence of its docstring."""
    import harness

    names: dict[str, Any] = {name: getattr(harness, name) for name in harness.__all__}
    names["hookimpl"] = None
    names |= {f"Results.{name}": value for name, value in vars(harness.Results).items() if inspect.isfunction(value) and name[0] != "_"}
    rows = []
    for name, value in sorted(names.items(), key=lambda item: (not item[0][0].islower(), item[0])):
        text = "Marks a function as a hook of a plugin." if value is None else inspect.getdoc(value) or ""
        first = " ".join(text.partition("\n\n")[0].split())
        rows.append([f"`{name}`", first if first.endswith(".") else f"{first}."])
    return table(["name", "what it is"], rows)


def columns() -> str:
    """The columns of a leaderboard's CSV and JSON forms."""
    from harness_leaderboard.columns import COLUMNS

    return meanings(COLUMNS)


def compared() -> str:
    """The numbers of a comparison of two models."""
    from harness_leaderboard.columns import NUMBERS

    return meanings(NUMBERS)


def meanings(of: Mapping[str, Any]) -> str:
    """A table of `harness_leaderboard.columns.Meaning`s."""
    rows = [[f"`{name}`", about.what, about.unit or "text", about.null or "–"] for name, about in of.items()]
    return table(["name", "meaning", "unit", "null when"], rows)


def tasks() -> str:
    """The tasks of GIFT-Eval, from the table they are made of."""
    from harness_tasks.gift_eval import QUICK_FOLDERS, GiftEval

    suite = GiftEval(None)
    rows = []
    for task in suite.tasks():
        quick = "yes" if suite.row(task).folder in QUICK_FOLDERS else ""
        rows.append([f"`{task.name}`", f"`{suite.row(task).folder}`", task.domain, task.horizon, task.season_length, task.variates, quick])
    return table(["task", "folder", "domain", "H", "m", "V", "in `quick`"], rows)


def monash_tasks() -> str:
    """The files of the Monash archive, from the table that its tasks are made of."""
    from harness_results.monash_files import read_snapshot
    from harness_tasks.monash_table import MONASH

    published = {task for _, task in read_snapshot([row.name for row in MONASH])}
    head = ["task", "dataset", "domain", "frequency", "H", "m", "series", "rounded", "published", "Zenodo"]
    rows = []
    for row in MONASH:
        marks = ["yes" if row.rounded else "", "yes" if row.name in published else ""]
        record = f"[{row.zenodo}](https://zenodo.org/records/{row.zenodo})"
        about = [row.family, row.domain, row.frequency or "not said", row.horizon or "–", row.season_length]
        rows.append([f"`{row.name}`", *about, row.series, *marks, record])
    return table(head, rows)


PAGES: dict[str, Callable[[], str]] = {
    "api": api,
    "cli": cli,
    "columns": columns,
    "compared": compared,
    "dialects": dialects,
    "metrics": metrics,
    "models": models,
    "monash-tasks": monash_tasks,
    "store": store,
    "tasks": tasks,
}


def generated(text: str) -> str:
    """A page with everything between its marks made anew."""
    return MARK.sub(lambda m: f"{m[1]}\n{PAGES[m['name']]()}\n\n{m[3]}", text)


def stale() -> dict[Path, str]:
    """The pages that differ from the code: {file: what it should hold}."""
    found, names = {}, set()
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        names |= {m["name"] for m in MARK.finditer(text)}
        if (new := generated(text)) != text:
            found[path] = new
    if missing := PAGES.keys() - names:
        raise SystemExit(f"no page in {DOCS} has the marks <!-- generated: NAME --> and <!-- end --> for: {', '.join(sorted(missing))}")
    return found


def main(arguments: Sequence[str]) -> int:
    check = list(arguments) == ["--check"]
    if arguments and not check:
        raise SystemExit(f"got {' '.join(arguments)}; wanted nothing, or --check")
    pages = stale()
    for path, text in pages.items():
        print(f"{path.relative_to(ROOT)} {'differs from the code: type python docs/generate.py' if check else 'written'}", file=sys.stderr)
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(pages))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
