"""PDFs with reportlab: A5, so that a page fills a phone's screen with letters that can be read."""

from __future__ import annotations

import io
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pinjam.services.sheet import Grid, Numbered, Pairs, Words

if TYPE_CHECKING:
    from pinjam.services.sheet import Block, Section, Sheet

EDGE_PT = 20.0
FOOT_PT = 42.0
BODY_PT, LEADING_PT = 10.5, 14.5
GRID_PT = 10.0
CELL_PT = 2.0
"""Space on either side of what stands in a table's cell."""
LABEL_SHARE = 0.42
REGULAR, BOLD = "PinjamRegular", "PinjamBold"
ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
"""The combining marks of Latin letters."""
INK, FAINT, LINE, SHADE = "#1a1a1a", "#555555", "#b8bec8", "#eef1f6"


class ReportlabPress:
    """`PaperPress`. Every font is inside the PDF, and there is no date and no random id in it.

    A letter that the font lacks is printed as its base letter where it has one (Vietnamese, Polish), and else as
    its number in Unicode: `[U+5C71 U+7530]` is hard to read, but a row of boxes would be nobody's name. Identity
    cards have Latin letters only (regulation 73/2022 of the Ministry of Home Affairs), so that is rare.
    """

    def press(self, sheet: Sheet) -> bytes:
        """The sheet as a PDF."""
        # Imported where it is used: most calls of a function need no PDF.
        from reportlab.lib.pagesizes import A5
        from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

        _fonts()
        target = io.BytesIO()
        document = BaseDocTemplate(
            target,
            pagesize=A5,
            title=f"{sheet.title} {sheet.footer}",
            author=sheet.author,
            creator="Pinjam",
            lang=sheet.locale,
            invariant=1,
            initialFontName=REGULAR,
        )
        width, height = A5[0] - 2 * EDGE_PT, A5[1] - EDGE_PT - FOOT_PT
        frame = Frame(EDGE_PT, FOOT_PT, width, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        document.addPageTemplates([PageTemplate(frames=[frame])])
        document.build(_story(sheet, width), canvasmaker=_canvas_with_feet(sheet, width))
        return target.getvalue()


def _canvas_with_feet(sheet: Sheet, width: float) -> type:
    """A canvas that holds its pages back until the last one: the foot of each tells how many there are."""
    from reportlab.pdfgen.canvas import Canvas

    class WithFeet(Canvas):  # type: ignore[misc]  # reportlab has no types
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._held: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._held.append(dict(vars(self)))
            self._startPage()

        def save(self) -> None:
            held = self._held
            for number, page in enumerate(held, 1):
                self.__dict__.update(page)
                self._foot(sheet.page.format(number=number, count=len(held)))
                super().showPage()
            super().save()

        def _foot(self, page: str) -> None:
            self.saveState()
            self.setFont(REGULAR, GRID_PT)
            self.setFillColor(FAINT)
            self.drawString(EDGE_PT, FOOT_PT / 2, _printable(sheet.footer))
            self.drawRightString(EDGE_PT + width, FOOT_PT / 2, _printable(page))
            self.restoreState()

    return WithFeet


def _story(sheet: Sheet, width: float) -> list[Any]:
    styles = _styles()
    story = [_paragraph(sheet.title, styles["title"]), _paragraph(sheet.lead, styles["lead"])]
    for section in sheet.sections:
        story += _section(section, styles, width)
    return story


def _section(section: Section, styles: dict[str, Any], width: float) -> list[Any]:
    from reportlab.platypus import CondPageBreak

    # A heading never ends a page: it goes along with the first lines of what it heads.
    parts: list[Any] = [CondPageBreak(80), _paragraph(section.heading, styles["heading"])]
    for block in section.blocks:
        parts += _block(block, styles, width)
    return parts


def _block(block: Block, styles: dict[str, Any], width: float) -> list[Any]:
    from reportlab.platypus import KeepTogether

    match block:
        case Words():
            return [_paragraph(block.text, styles["body"])]
        case Pairs():
            return [_pairs(block, styles, width)]
        case Numbered():
            items = enumerate(block.items, 1)
            # A sentence that somebody said yes to is not torn in two.
            return [KeepTogether([_paragraph(text, styles["item"], bullet=f"{number}.")]) for number, text in items]
        case Grid():
            return [_grid(block, width)]


def _paragraph(text: str, style: Any, *, bullet: str | None = None) -> Any:
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_printable(text)), style, bulletText=bullet)


def _pairs(block: Pairs, styles: dict[str, Any], width: float) -> Any:
    from reportlab.platypus import Table

    rows = [[_paragraph(name, styles["label"]), _paragraph(value, styles["value"])] for name, value in block.rows]
    table = Table(rows, colWidths=[width * LABEL_SHARE, width * (1 - LABEL_SHARE)], spaceAfter=6, hAlign="LEFT")
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ]
    )
    return table


def _grid(block: Grid, width: float) -> Any:
    """A table as wide as the page. Only amounts beyond the policy's would make its letters smaller."""
    from reportlab.platypus import Table

    rows = [[_printable(cell) for cell in row] for row in (block.head, *block.rows, block.foot)]
    needed = _widths(rows, GRID_PT)
    size = min(GRID_PT, GRID_PT * width / sum(needed))
    spare = max(0.0, width - sum(needed)) / len(needed)
    table = Table(
        rows,
        colWidths=[(one + spare) * size / GRID_PT if size < GRID_PT else one + spare for one in needed],
        repeatRows=1,
        spaceBefore=2,
        spaceAfter=8,
        hAlign="LEFT",
    )
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR, size),
            ("FONT", (0, 0), (-1, 0), BOLD, size),
            ("TEXTCOLOR", (0, 0), (-1, -1), INK),
            ("ALIGN", (block.amounts_from, 0), (-1, -1), "RIGHT"),
            ("BACKGROUND", (0, 0), (-1, 0), SHADE),
            ("LINEBELOW", (0, 0), (-1, -2), 0.4, LINE),
            ("LINEABOVE", (0, -1), (-1, -1), 1, INK),
            ("LEFTPADDING", (0, 0), (-1, -1), CELL_PT * size / GRID_PT),
            ("RIGHTPADDING", (0, 0), (-1, -1), CELL_PT * size / GRID_PT),
            ("TOPPADDING", (0, 0), (-1, -1), 3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return table


def _widths(rows: list[list[str]], size: float) -> list[float]:
    """What each column needs at a size of letters, with its padding; the first row is bold."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    return [
        2 * CELL_PT + max(stringWidth(row[column], REGULAR if at else BOLD, size) for at, row in enumerate(rows))
        for column in range(len(rows[0]))
    ]


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    body = ParagraphStyle(
        "body",
        fontName=REGULAR,
        fontSize=BODY_PT,
        leading=LEADING_PT,
        textColor=INK,
        spaceAfter=6,
        allowWidows=0,
        allowOrphans=0,
        spaceShrinkage=0,
    )

    def like(name: str, **changes: Any) -> Any:
        return ParagraphStyle(name, parent=body, **changes)

    return {
        "body": body,
        "title": like("title", fontName=BOLD, fontSize=17, leading=21, spaceAfter=4),
        "lead": like("lead", textColor=FAINT, spaceAfter=4),
        "heading": like("heading", fontName=BOLD, fontSize=12, leading=16, spaceBefore=9, spaceAfter=4),
        "label": like("label", textColor=FAINT, spaceAfter=0),
        "value": like("value", spaceAfter=0),
        "item": like("item", leftIndent=18, bulletFontName=REGULAR, bulletFontSize=BODY_PT),
    }


@cache
def _fonts() -> frozenset[int]:
    """Registers the fonts that reportlab brings along; the code points that they have."""
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    regular, bold = TTFont(REGULAR, "Vera.ttf"), TTFont(BOLD, "VeraBd.ttf")
    registerFont(regular)
    registerFont(bold)
    return frozenset(regular.face.charToGlyph) & frozenset(bold.face.charToGlyph)


def _printable(text: str) -> str:
    """The text in letters of the font."""
    known = _fonts()
    printed: list[str] = []
    unknown: list[str] = []
    for letter in unicodedata.normalize("NFC", text):
        plain = _plain(letter, known)
        if plain is None:
            unknown.append(f"U+{ord(letter):04X}")
            continue
        printed += [*_numbers(unknown), plain]
        unknown = []
    return "".join([*printed, *_numbers(unknown)])


def _numbers(unknown: list[str]) -> list[str]:
    return [f"[{' '.join(unknown)}]"] if unknown else []


def _plain(letter: str, known: frozenset[int]) -> str | None:
    """The letter, or its base letter; nothing of an accent that stands alone; None if the font has none of it."""
    if ord(letter) in known:
        return letter
    parts = [part for part in unicodedata.normalize("NFKD", letter) if part not in ACCENTS]
    return "".join(parts) if all(ord(part) in known for part in parts) else None
