"""Makes the documents of this folder, with the libraries that real programs use.

Needs python-docx, openpyxl, python-pptx, reportlab and pikepdf: `python make.py FOLDER`.
"""

import datetime
import sys
from pathlib import Path

import pikepdf
import reportlab
from docx import Document
from openpyxl import Workbook
from pptx import Presentation
from pptx.util import Inches
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen import canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

PRICES = [("Part", "Price"), ("Pump", "12"), ("Valve", "7")]


def word(path):
    document = Document()
    document.add_heading("Pumps & valves", 0)
    document.add_paragraph("A pump moves water. It has ").add_run("two").bold = True
    document.add_heading("Care", 1)
    document.add_paragraph("Oil it.", style="List Bullet")
    document.add_paragraph("Clean it.", style="List Bullet")
    document.add_heading("Prices", 2)
    fill(document.add_table(rows=3, cols=2), PRICES)
    document.add_paragraph("Grüße aus Köln.")
    document.save(path)


def powerpoint(path):
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[0])
    slide.shapes.title.text = "Pumps"
    slide.placeholders[1].text = "A talk"
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Prices"
    fill(slide.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table, PRICES[:2])
    slide.notes_slide.notes_text_frame.text = "Say that prices rise."
    presentation.save(path)


def excel(path):
    workbook = Workbook()
    sheet = workbook.active
    sheet.title = "Parts"
    sheet.append(["Part", "Price", "Since"])
    sheet.append(["Pump", 12.5, datetime.date(2024, 1, 1)])
    sheet.append(["Valve", 7, datetime.datetime(2025, 6, 30, 13, 30)])
    sheet = workbook.create_sheet("Notes & more")
    sheet["C5"] = "Only a word"
    sheet["D5"] = True
    workbook.save(path)


def report(path):
    styles = getSampleStyleSheet()
    text = "A pump moves water. It has two parts, and it needs oil each month. " * 4
    body = [
        Paragraph("Pumps", styles["Title"]),
        Paragraph(text, styles["Normal"]),
        Paragraph("Prices", styles["Heading1"]),
        Table(PRICES[:2]),
        Paragraph("Grüße aus Köln für 5 €.", styles["Normal"]),
    ]
    SimpleDocTemplate(path, pagesize=A4, title="Pumps", invariant=1).build(body)


def packed(path, source):
    """Objects in object streams and a stream of references, as modern programs write them."""
    with pikepdf.open(source) as pdf:
        pdf.save(path, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)


def embedded(path):
    pdfmetrics.registerFont(TTFont("Vera", Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"))
    page = canvas.Canvas(path, invariant=1)
    page.setFont("Vera", 12)
    page.drawString(72, 700, "Grüße: a pump moves water.")
    page.drawString(72, 684, "The second line.")
    page.showPage()
    page.setFont("Vera", 12)
    page.drawString(72, 700, "The second page.")
    page.save()


def encrypted(path, password, text):
    encryption = StandardEncryption(password, ownerPassword="owner", strength=128)
    page = canvas.Canvas(path, encrypt=encryption)
    page.drawString(72, 700, text)
    page.save()


def fill(table, rows):
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            table.cell(row, column).text = cell


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    word(str(folder / "word.docx"))
    powerpoint(str(folder / "powerpoint.pptx"))
    excel(str(folder / "excel.xlsx"))
    report(str(folder / "report.pdf"))
    packed(folder / "packed.pdf", folder / "report.pdf")
    embedded(str(folder / "embedded.pdf"))
    encrypted(str(folder / "encrypted.pdf"), "secret", "A secret.")
    encrypted(str(folder / "owner.pdf"), "", "Not a secret, but not to be printed.")
