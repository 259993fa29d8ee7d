"""The report from made-up records: one self-contained page, which escapes what records say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from record_cases import CLAIMS, record, results

import figures
from figures.report import write_report

__all__ = ["results"]  # the fixture


class Page(HTMLParser):
    """Attributes that could fetch something, ids, images without words, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.silent += tag == "img" and not given.get("alt")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"


def test_the_report_is_one_self_contained_page(results: Path) -> None:
    for path in sorted(results.glob("*/trace.npz")):
        if path.parent.name != "broken":
            figures.draw_claim(results, path.parent.name)
    with pytest.raises(figures.UnreadableRecord, match="broken"):
        figures.draw_claim(results, "broken")
    for path in sorted((results / "pictures").glob("*.npz")):
        figures.draw_picture(results, path.stem)
    out = write_report(results, CLAIMS, {"instant": True}, results / "report.html")
    text = out.read_text()
    page = Page(text)
    assert not page.open
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert {c.id for c in CLAIMS} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.ids) >= {link[1:] for link in page.links if link.startswith("#")}
    assert page.silent == 0
    assert page.tags.count("img") == 3  # one figure for each readable record with a picture
    assert "math" in page.tags
    assert "open (not run)" in text
    assert "broken/record.json is not readable JSON: delete it, then run `noncollapse verify broken`" in text
    assert "training.eta = 0.3" in text  # the counterexample, by what it changes
    assert text.count('class="stale"') == 3  # in the summary, the table and the claim's own heading
    assert re.search(r"verified</span>\s*1 ", text)


def test_the_report_escapes_what_records_say(results: Path) -> None:
    path = results / "held" / "record.json"
    path.write_text(json.dumps(record("held", "verified", explains="<script>alert(1)</script>", scope="a < b")))
    text = write_report(results, CLAIMS, {}, results / "report.html").read_text()
    assert "<script" not in text
    assert "a &lt; b" in text


def test_an_unknown_verdict_is_shown_as_an_error(results: Path) -> None:
    path = results / "held" / "record.json"
    path.write_text(json.dumps(record("held", "verified", verdict="certainly")))
    text = write_report(results, CLAIMS, {}, results / "report.html").read_text()
    assert "certainly" in text
    assert "is none of verified" in text
