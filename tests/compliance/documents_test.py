#!/usr/bin/env python3
"""Every format of one report shows the same figures and the same verdict of every item: HTML, PDF, DOCX, XLSX, JSON. A
converter that is not installed is named, and nothing is written.

  documents_test.py PROGRAMS
"""
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns")]
from appliance import Appliance  # noqa: E402
from lab import SKIPPED, Lab  # noqa: E402

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
VERDICTS = {"符合": "conforming", "部分符合": "partial", "不符合": "failing", "不适用": "not_applicable", "未检": "not_checked",
            "采集失败": "error"}


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("weasyprint", "pandoc", "pdftotext"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return None


class Rows(html.parser.HTMLParser):
    """The rows of every table, as lists of texts."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.cell = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell.strip())
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


def docx_rows(path):
    body = xml.fromstring(zipfile.ZipFile(path).read("word/document.xml"))
    return [["".join(t.text or "" for t in cell.iter(WORD + "t")).strip() for cell in row.findall(WORD + "tc")]
            for row in body.iter(WORD + "tr")]


def xlsx_sheets(path):
    book = zipfile.ZipFile(path)
    shared = ["".join(t.text or "" for t in entry.iter(SHEET + "t"))
              for entry in xml.fromstring(book.read("xl/sharedStrings.xml")).iter(SHEET + "si")]
    names = [sheet.get("name") for sheet in xml.fromstring(book.read("xl/workbook.xml")).iter(SHEET + "sheet")]
    sheets = {}
    for number, name in enumerate(names, 1):
        text = book.read(f"xl/worksheets/sheet{number}.xml")
        expect(b"<f>" not in text, "a cell holds a formula")
        sheets[name] = [[shared[int(cell.find(SHEET + "v").text)] if cell.find(SHEET + "v") is not None else ""
                         for cell in row.findall(SHEET + "c")] for row in xml.fromstring(text).iter(SHEET + "row")]
    return sheets


def figures_of(rows):
    """The table of figures: what follows its heading row, until the rows are no pairs any more."""
    begin = next(i for i, row in enumerate(rows) if row == ["指标", "数值"])
    found = {}
    for row in rows[begin + 1:]:
        if len(row) != 2 or row == ["指标", "数值"] or row[0] in ("被查对象", "项目"):
            break
        found[row[0]] = row[1]
    return found


def verdicts_of(rows):
    """Item to verdict, from the table that has every item with its requirement: appendix C, before the records of D."""
    found = {}
    for row in rows:
        if len(row) == 4 and re.fullmatch(r"8\.[12](\.\d+)+(\.[a-z])?", row[0]) and row[2] in VERDICTS:
            found.setdefault(row[0], VERDICTS[row[2]])
    return found


def expected_figures(result):
    totals = result["totals"]

    def percent(value):
        return f"{value:.1f}%"

    figures = {"测评项总数": str(totals["items"]), "已判定项数": str(totals["judged"]), "判定覆盖率": percent(totals["coverage_percent"]),
               "问题数": str(totals["findings"]), "高风险问题数": str(totals["high_risk"]),
               "重大风险隐患触发情形数": str(len(totals["triggers"]))}
    for zh, key in VERDICTS.items():
        figures[f"{zh}项数"] = str(totals[key])
    for edition in result["editions"]:
        for zh, key in (("自查值", "value"), ("下限", "worst"), ("上限", "best")):
            figures[f"{zh}：{edition['title']['zh']}"] = f"{edition[key]:.1f}" + ("" if edition["score"] else "%")
    return figures


def check_pdf(path, figures):
    """Text of a page breaks where it must, so blanks do not count: the name, its value, the next name."""
    text = re.sub(r"\s", "", subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout)
    for name, value in figures.items():
        expect(re.sub(r"\s", "", name) + value in text, f"{path.name}: {name} {value}")
    fonts = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout
    embedded = [line.split() for line in fonts.splitlines()[2:]]
    expect(any("Noto" in line[0] and "CJK" in line[0] for line in embedded), f"{path.name}: no Chinese font: {fonts}")
    return text


def check_formats(folder):
    result = json.loads((folder / "assessment.json").read_text())
    figures = expected_figures(result)
    verdicts = {item["id"]: item["verdict"] for item in result["items"]}
    for name in ("self-assessment", "gap"):
        page = Rows((folder / f"{name}.zh.html").read_text()).rows
        expect(figures_of(page) == figures, f"{name}.html: {set(figures_of(page).items()) ^ set(figures.items())}")
        expect(figures_of(docx_rows(folder / f"{name}.zh.docx")) == figures, f"{name}.docx: other figures")
        text = check_pdf(folder / f"{name}.zh.pdf", figures)
        expect("自查" in text, f"{name}.pdf does not say that it is a self-assessment")
    for rows in (Rows((folder / "self-assessment.zh.html").read_text()).rows, docx_rows(folder / "self-assessment.zh.docx")):
        expect(verdicts_of(rows) == verdicts, "a verdict differs")
    sheets = xlsx_sheets(folder / "items.zh.xlsx")
    expect(list(sheets) == ["自查结果", "测评项", "问题", "检查", "对象", "人工任务"], str(list(sheets)))
    expect(figures_of(sheets["自查结果"]) == figures, "items.xlsx: other figures")
    expect({row[0]: VERDICTS[row[4]] for row in sheets["测评项"][1:]} == verdicts, "items.xlsx: a verdict differs")
    expect(len(sheets["问题"]) - 1 == result["totals"]["findings"], "items.xlsx: findings")
    expect(len(sheets["检查"]) - 1 == len(result["checks"]), "items.xlsx: checks")


def check_missing_converters(lab, appliance):
    """/dev/null in the place of a converter: for this command it is not installed."""
    for program, wanted in (("weasyprint", "pdf"), ("pandoc", "docx")):
        out = lab.root / f"without-{program}"
        done = lab.run("gate", ["unshare", "--mount", "sh", "-c", f'mount --bind /dev/null {shutil.which(program)} && exec "$@"', "sh",
                                appliance.programs / "menshen", "--settings", appliance.settings_file, "--lang", "en", "comply",
                                "report", "--no-hosts", "--out", out, "--format", wanted], check=False)
        if "propagation" in done.stderr or "cannot change root" in done.stderr:
            print(f"without {program}: no mount namespace here")
            continue
        expect(done.returncode == 3 and f"apt-get install {program}" in done.stderr, f"{done.returncode}: {done.stderr}")
        expect(not out.exists(), "nothing is written without the converter")
    done = appliance.run("comply", "report", "--no-hosts", "--format", "pdf,odt", check=False)
    expect(done.returncode == 2 and "odt" in done.stderr, done.stderr)


def main():
    why = missing()
    if why:
        print(f"skipped: {why}")
        return 1 if os.environ.get("CI") == "true" else SKIPPED
    with Lab() as lab:
        appliance = Appliance(lab, sys.argv[1])
        appliance.start("auditd")
        check_missing_converters(lab, appliance)
        out = lab.root / "report"
        appliance.run("comply", "report", "--no-hosts", "--out", out, "--format", "all", lang="zh", timeout=800)
        check_formats(out)
        for name in ("self-assessment.zh.pdf", "items.zh.xlsx"):
            appliance.run("comply", "verify-page", out / name)
        if os.environ.get("MENSHEN_REPORT_DIR"):
            shutil.copytree(out, os.environ["MENSHEN_REPORT_DIR"], dirs_exist_ok=True)
    print("HTML, PDF, DOCX, XLSX and JSON say the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
