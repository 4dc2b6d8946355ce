"""XML, but for what a browser would make a page or a drawing of, and run.

A parser says so, since namespaces may be written with character references and as defaults of a
DTD, and stand behind any comment. Where it stops, the words themselves are searched for: logs are
often no whole document, and not every program is as strict.
"""

import re
from collections.abc import Iterator
from typing import NoReturn
from xml.parsers import expat

from attachments.formats import ADVICE
from attachments.inspection import text
from attachments.inspection.format import Format
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch

SVG = "http://www.w3.org/2000/svg"
# XSLT makes a page of anything.
PAGE_SPACES = frozenset(
    {SVG, "http://www.w3.org/1999/xhtml", "http://www.w3.org/1999/XSL/Transform"}
)
PAGE_ROOTS = frozenset({"svg", "html", "xhtml"})
STYLE = "xml-stylesheet"
# The parser keeps every open element in memory.
MAX_DEPTH = 1000
# Of elements, document types, namespaces and style sheets, where there is nothing but words.
PAGE_WORDS = re.compile(
    rf"<([a-z]+:)?(?:{'|'.join(PAGE_ROOTS)})[\s>]|<!doctype\s+(?:html|svg)"
    rf"|{'|'.join(map(re.escape, PAGE_SPACES))}|<\?{STYLE}",
    re.IGNORECASE,
)
# Longer than any of them.
OVERLAP = 100


def _xml(source: Source, policy: Policy) -> None:
    text.check(source, policy)
    try:
        _parse(source)
    except expat.ExpatError:
        _search(source)


def _parse(source: Source) -> None:
    """Raises ContentMismatch as soon as something in it is not to be taken, and ExpatError.

    A comment or attribute is in memory as a whole; files of text are small.
    """
    parser, guard = expat.ParserCreate(namespace_separator=" "), _Guard()
    parser.StartElementHandler = guard.begin
    parser.EndElementHandler = guard.end
    parser.StartNamespaceDeclHandler = guard.space
    parser.StartDoctypeDeclHandler = guard.document_type
    parser.EntityDeclHandler = guard.entity
    parser.ProcessingInstructionHandler = guard.instruction
    for characters in _characters(source):
        parser.Parse(characters)
    parser.Parse("", True)


class _Guard:
    """What the parser tells as it goes; each raises ContentMismatch."""

    def __init__(self) -> None:
        self.depth = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and name.rpartition(" ")[2].lower() in PAGE_ROOTS:
            _refuse(name)
        if self.depth > MAX_DEPTH:
            raise ContentMismatch("Its elements are nested too deeply.")

    def end(self, name: str) -> None:
        self.depth -= 1

    def space(self, prefix: str | None, address: str | None) -> None:
        if address in PAGE_SPACES:
            _refuse(address)

    def document_type(self, name: str, *_: object) -> None:
        if name.lower() in PAGE_ROOTS:
            _refuse(name)

    def entity(self, *_: object) -> None:
        """With a few that say each other ten times, a document of a page fills the memory of
        whoever reads it; or it shows them a file of the machine it is read on."""
        raise ContentMismatch("An XML document that defines its own entities is not taken.")

    def instruction(self, name: str, data: str) -> None:
        if name == STYLE:
            _refuse(name)


def _search(source: Source) -> None:
    before = ""
    for characters in _characters(source):
        if found := PAGE_WORDS.search(before + characters):
            _refuse(found[0])
        before = characters[-OVERLAP:]


def _characters(source: Source) -> Iterator[str]:
    """Whatever encoding it declares: in all that are taken, what counts is ASCII."""
    return text.decoded(source, text.encoding_of(source), errors="replace")


def _refuse(seen: str) -> NoReturn:
    if STYLE in seen:
        raise ContentMismatch("An XML document with a style sheet is not taken.")
    raise ContentMismatch(ADVICE["svg"] if "svg" in seen.lower() else ADVICE["html"])


XML = Format(text.begins, _xml)
