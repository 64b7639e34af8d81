"""The catalogue: one page per kind of member, made from the very text that ``adversarium explain`` prints.

``catalogue/index.md`` and a page per kind are written before the build reads its sources; each holds a directive
``catalogue``, which renders the members of a dict. The role ``member`` links to one: ``{member}`hinge``` or, where
several kinds share a name, ``{member}`losses/hinge```.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain
from sphinx.util.docutils import SphinxDirective, SphinxRole

from adversarium.cli.explain import page
from adversarium.cli.members import KINDS, summary

COMMANDS = ("Train with", "Measure with")
"""The facts that are commands."""

PROSE = (
    "Convention",
    "Elsewhere",
    "Use when",
    "Paper",
    "Raises",
    "Warns",
    "Note",
    "Args",
    "Attributes",
    "Published in",
)
"""The sections that are running text. The others (formulas, defaults, what a preset uses) keep their line breaks."""

INTRODUCTIONS = {
    "presets": "A preset is a published method as one value: `adversarium train mnist --preset NAME`.",
    "losses": "Functions of scores, one value per score. In code: `losses.LOSSES[NAME]()`.",
    "class-losses": 'Losses of a critic that scores K classes and "fake". In code: `losses.CLASS_LOSSES[NAME]()`.',
    "distances": "Losses without a critic: a distance between two sets of samples. In code: "
    "`losses.DISTANCES[NAME]()`.",
    "wrappers": "Around any loss that reads each score on its own, or around the samples: "
    "`losses.WRAPPERS[NAME](loss)`, `data.instance_noise(std)`.",
    "misprints": "Formulas that popular tutorials print, faithfully, each with its defect. In code: "
    "`losses.MISPRINTS[NAME]()`.",
    "penalties": "Functions of a critic and samples, one value per sample, weight included. In code: "
    "`penalties.PENALTIES[NAME]()`.",
    "generator-penalties": "Penalties that look at the generator as a function of its codes. In code: "
    "`penalties.GENERATOR_PENALTIES[NAME]()`.",
    "sample-penalties": "Penalties on the generator's side that look at its samples through the critic: "
    "`adversarium train DATA --terms NAME`. In code: `penalties.SAMPLE_PENALTIES[NAME]()`.",
    "augmentations": "What is done to all samples before the critic sees them: `adversarium train DATA --augment "
    "NAME`. In code: `stabilisers.AUGMENTATIONS[NAME]()`.",
    "minibatch-layers": "Layers that show a critic its batch: `adversarium train DATA --minibatch NAME`. In code: "
    "`nets.MINIBATCH_LAYERS[NAME]()(critic, rng)`.",
    "stabilisers": "What else keeps a game on course: `adversarium train DATA --packing 2`, `--top-k 0.5`, "
    "`--replay-pool 50`. In code: `stabilisers.pack`, `stabilisers.top_k`, `stabilisers.ReplayPool`.",
    "conditionals": "Ways to generate by class, or by what a vector says: `adversarium train DATA --conditional "
    "NAME`.",
    "constraints": "What is done to a critic's weights. In code: `constraints.CONSTRAINTS[NAME]()`.",
    "games": "How the two players move. In code: `games.GAMES[NAME]()`.",
    "networks": "Small readable networks: `adversarium train DATA --network NAME`.",
    "components": "Parts for a model that has a loss of its own, see [As a part of your model](../component.md). In "
    "code: `component.NAME`, and `penalties.match_features`.",
    "metrics": "Numbers that say how good samples are: `adversarium evaluate RUN --protocols fd2500_lenet_test`. "
    "In code: the function that each is made of, `metrics.METRICS[NAME].function`.",
    "features": "What metrics compare samples by. In code: `features.FEATURES[NAME]()`, or `features.open_features` "
    "for any module.",
    "diagnoses": "What goes wrong in a run: `adversarium doctor RUN` looks for each, and says what to change.",
    "datasets": "Builtin data, none of it downloaded: `adversarium train NAME`.",
}

SECTION = re.compile(r"(\w[\w -]*):")
FACT = re.compile(r"([A-Z][\w ]*): +(\S.*)")
INLINE = re.compile(
    r"``(?P<code>[^`]+)``"
    r"|:\w+(?::\w+)?:`~?(?:[^`<]*<)?(?P<role>[\w.]+)>?`"
    r"|(?<!`)`(?P<name>[^`]+)`(?!`)"
    r"|arXiv:(?P<arxiv>\d{4}\.\d{4,5})"
    r"|(?<![\w*])\*(?P<stress>[a-zA-Z][\w ,-]*)\*(?![\w*])"
)


@dataclass
class Block:
    """A piece of a page: running text, or lines to be kept, under a label or none."""

    label: str
    text: str
    prose: bool


def blocks(text: str) -> Iterator[Block]:
    """Split what ``explain`` prints on a member (below its title) into sections, facts and paragraphs."""
    summary_line, _, text = text.partition("\n")  # may hold a colon
    yield Block("", summary_line, True)
    label, kind, lines = "", "prose", list[str]()

    def finished() -> Iterator[Block]:
        kept = "\n".join(lines).strip("\n")
        if kind == "prose":
            for paragraph in re.split(r"\n\s*\n", kept):
                if paragraph.strip():
                    yield Block(label, " ".join(paragraph.split()) if not _is_list(paragraph) else paragraph, True)
        elif kept:
            yield Block(label, kept, False)

    flowing = False  # in a paragraph that begins with a fact's label, as some classes' docstrings have
    for line in text.splitlines():
        indented = line.startswith(" ")
        section, fact = SECTION.fullmatch(line), FACT.fullmatch(line)
        flowing = flowing and line != ""
        if section or fact or (label and line and not indented and not flowing):
            yield from finished()
            if section:
                label, lines = section[1], []
                kind = "prose" if label in PROSE else "kept"
            elif fact:
                label, kind, lines = fact[1], "kept" if fact[1] in COMMANDS else "prose", [fact[2]]
            else:
                label, kind, lines = "", "prose", [line]
            flowing = fact is not None
        else:
            lines.append(line.removeprefix("    ") if indented and kind == "kept" else line.strip() or "")
    yield from finished()


def _is_list(paragraph: str) -> bool:
    return paragraph.lstrip().startswith(("* ", "- "))


def kinds_of(name: str) -> list[str]:
    return [kind for kind, members in KINDS.items() if name in members]


def anchor(kind: str, name: str) -> str:
    return f"{kind}-{name}"


def link(kind: str, name: str, docname: str) -> nodes.Node:
    """Return a reference to a member, to be resolved when all pages are read."""
    found = addnodes.pending_xref(
        "",
        nodes.literal(name, name),
        refdomain="std",
        reftype="ref",
        reftarget=anchor(kind, name).lower(),
        refexplicit=True,
        refwarn=True,
        refdoc=docname,
    )
    return found


def inline(text: str, docname: str, own: tuple[str, str] | None = None) -> Iterator[nodes.Node]:
    """Yield text with its literals, links to members and papers; nothing else is markup, whatever a formula holds."""
    at = 0
    for match in INLINE.finditer(text):
        if match.start() > at:
            yield nodes.Text(text[at : match.start()])
        at = match.end()
        if match["arxiv"]:
            yield nodes.reference(match[0], match[0], refuri=f"https://arxiv.org/abs/{match['arxiv']}")
        elif match["stress"]:
            yield nodes.emphasis("", match["stress"])
        else:
            code = match["code"] or match["name"] or match["role"].removeprefix("adversarium.")
            kinds = kinds_of(code)
            same = own and (own[0] in kinds) and (own[0], code) != own
            if kinds and (own is None or (code != own[1] and code not in choices(*own))):
                yield link(own[0] if own and same else kinds[0], code, docname)
            else:
                yield nodes.literal(code, code)
    if at < len(text):
        yield nodes.Text(text[at:])


class Catalogue(SphinxDirective):
    """All members of a kind: a table, then a section for each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        kind = self.arguments[0]
        if kind not in KINDS:
            raise self.error(f"unknown kind {kind!r}; there are: {', '.join(KINDS)}")
        self.env.note_dependency(__file__)
        self.env.note_reread()  # what a docstring says is not in the page's own source
        return [self._table(kind), *(self._section(kind, name) for name in KINDS[kind])]

    def _table(self, kind: str) -> nodes.Node:
        rows = [
            [nodes.paragraph("", "", link(kind, name, self.env.docname)), self._paragraph(summary(member), kind)]
            for name, member in KINDS[kind].items()
        ]
        return table(["name", "in one line"], rows)

    def _paragraph(self, text: str, kind: str, name: str = "") -> nodes.paragraph:
        return nodes.paragraph("", "", *inline(text, self.env.docname, (kind, name)))

    def _section(self, kind: str, name: str) -> nodes.section:
        identifier = anchor(kind, name)
        section = nodes.section(ids=[nodes.make_id(identifier)], names=[identifier], classes=["member"])
        section += nodes.title(name, name)
        self.state.document.note_implicit_target(section, section)
        std = self.env.domains["std"]
        assert isinstance(std, StandardDomain)
        std.note_hyperlink_target(identifier.lower(), self.env.docname, section["ids"][0], name)
        catalogued(self.env).setdefault(kind, {})[name] = self.env.docname
        _, _, text = page(kind, name).split("\n", 2)
        fields: nodes.definition_list | None = None
        previous = ""
        for block in blocks(text):
            if not block.label:
                fields = None
                section += self._prose(block.text, kind, name)
                continue
            if fields is None:
                fields = nodes.definition_list(classes=["member-facts"])
                section += fields
                previous = ""
            if block.label != previous:
                fields += nodes.definition_list_item("", self._term(block.label, name), nodes.definition())
            previous = block.label
            definition = fields[-1][-1]
            assert isinstance(definition, nodes.definition)
            definition += self._content(block, kind, name)
        return section

    def _content(self, block: Block, kind: str, name: str) -> list[nodes.Node]:
        if block.prose:
            return [self._prose(block.text, kind, name)]
        formula = formula_of(block.label)
        if formula and block.text.startswith(formula):  # what a preset uses: a formula, then its convention
            rest = " ".join(block.text.removeprefix(formula).split())
            return [_kept(formula), self._prose(rest, kind, name)]
        return [_kept(block.text)]

    def _term(self, label: str, name: str) -> nodes.term:
        kinds = kinds_of(label)
        if kinds and label != name:
            return nodes.term("", "", link(kinds[0], label, self.env.docname))
        return nodes.term("", label)

    def _prose(self, text: str, kind: str, name: str) -> nodes.Node:
        if not _is_list(text):
            return self._paragraph(text, kind, name)
        entries = re.split(r"^\s*[*-] ", text, flags=re.MULTILINE)[1:]
        return nodes.bullet_list(
            "",
            *(nodes.list_item("", self._paragraph(" ".join(entry.split()), kind, name)) for entry in entries),
            bullet="*",
        )


def formula_of(name: str) -> str:
    """Return the formula of the first member of that name, or an empty string."""
    for kind in kinds_of(name):
        for block in blocks(page(kind, name).split("\n", 2)[2]):
            if block.label == "Formula":
                return block.text
    return ""


@cache
def choices(kind: str, name: str) -> frozenset[str]:
    """Return the words that a member's own formula explains (``gan:  g = ...``): no links to others of that name."""
    found = [block for block in blocks(page(kind, name).split("\n", 2)[2]) if block.label == "Formula"] if name else []
    return frozenset(word for block in found for word in re.findall(r"^(\w+):", block.text, flags=re.MULTILINE))


def _kept(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="none", classes=["formula"])


def table(headings: list[str], rows: list[list[nodes.Node]]) -> nodes.table:
    """Return a table; its first column is as narrow as its text allows."""

    def row(cells: list[nodes.Node]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", cell) for cell in cells))

    columns = [nodes.colspec(colwidth=25), *(nodes.colspec(colwidth=75) for _ in headings[1:])]
    head = nodes.thead("", row([nodes.paragraph("", heading) for heading in headings]))
    group = nodes.tgroup("", *columns, head, nodes.tbody("", *map(row, rows)), cols=len(headings))
    return nodes.table("", group, classes=["members"])


class Member(SphinxRole):
    """A link to a member: its name, or ``kind/name``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        *kind, name = self.text.split("/")
        kinds = [each for each in kinds_of(name) if not kind or each == kind[0]]
        if not kinds:
            message = self.inliner.reporter.error(f"there is no member {self.text!r}", line=self.lineno)
            return [nodes.literal(name, name)], [message]
        return [link(kinds[0], name, self.env.docname)], []


def catalogued(env: Any) -> dict[str, dict[str, str]]:
    """Return kind -> name -> page, of all members that the catalogue has."""
    if not hasattr(env, "adversarium_catalogue"):
        env.adversarium_catalogue = {}
    found: dict[str, dict[str, str]] = env.adversarium_catalogue
    return found


def write_pages(app: Sphinx) -> None:
    """Write the index and a page per kind, and remove the page of a kind that is gone."""
    folder = Path(app.srcdir) / "catalogue"
    folder.mkdir(exist_ok=True)
    pages = {
        f"{kind}.md": f"# {_title(kind)}\n\n{INTRODUCTIONS.get(kind, '')}\n\n```{{catalogue}} {kind}\n```\n"
        for kind in KINDS
    }
    pages["index.md"] = "\n".join(
        [
            "# Catalogue",
            "",
            "Every member of every kind, with its formula, conventions, advice and paper. The pages are made from the",
            "dicts that the commands read: `adversarium list KIND` and `adversarium explain NAME` print the same.",
            "",
            "| kind | members |",
            "|---|---|",
            *(
                f"| [{_title(kind)}]({kind}.md) | {', '.join(f'{{member}}`{kind}/{name}`' for name in members)} |"
                for kind, members in KINDS.items()
            ),
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *KINDS,
            "```",
            "",
        ]
    )
    for stale in folder.glob("*.md"):
        if stale.name not in pages:
            stale.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _title(kind: str) -> str:
    return kind.replace("-", " ").capitalize()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("catalogue", Catalogue)
    app.add_role("member", Member())
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": False}
