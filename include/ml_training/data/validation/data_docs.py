"""Makes the data docs a site that needs nothing from elsewhere.

    page = without_outside(page)
    index = index_page(read_validations(results))

The library's pages ask other hosts for styles, scripts and a picture whose address carries an identifier, and its index
is empty without them. Here every such reference is taken out, a small style is put in, and the index is written anew
from the results: one line a validation, newest first, with a link to its page.
"""

import html
import json
import re
from pathlib import Path
from typing import NamedTuple

OUTSIDE = re.compile(
    r"<script\b[^>]*\bsrc=\"https?://[^>]*>\s*</script>"
    r"|<link\b[^>]*\bhref=\"https?://[^>]*>"
    r"|<img\b[^>]*\bsrc=\"https?://[^>]*>"
    r"|<source\b[^>]*\bsrcset=\"https?://[^>]*>"
    r"|<iframe\b.*?</iframe>"
    r"|<p>Stay current on everything GX.*?</p>",
    re.S,
)
STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #d9e2ec; padding: .3rem .6rem; text-align: left; }
.nav, ul { list-style: none; padding-left: 0; } .failed { color: #b91c1c; } a { color: #1d4ed8; }
.collapse, .modal { display: block; } button, .btn, .popover { display: none; }
</style>"""


class Validation(NamedTuple):
    """One stored result: when, of what, how it went, and the page that shows it."""

    run_name: str
    suite: str
    success: bool
    kept: int
    rules: int
    page: str


def without_outside(page: str) -> str:
    """Return a page without references to other hosts, with the style in their place; links stay links."""
    cleaned = OUTSIDE.sub("", page)
    return cleaned if STYLE in cleaned else cleaned.replace("</head>", f"{STYLE}</head>", 1)


def read_validations(results: Path) -> list[Validation]:
    """Return the stored results, newest first."""
    found = []
    for path in results.rglob("*.json"):
        content = json.loads(path.read_text())
        found.append(
            Validation(
                run_name=content["meta"]["run_id"]["run_name"],
                suite=content["suite_name"],
                success=content["success"],
                kept=content["statistics"]["successful_expectations"],
                rules=content["statistics"]["evaluated_expectations"],
                page=f"validations/{path.relative_to(results).with_suffix('.html').as_posix()}",
            )
        )
    return sorted(found, key=lambda one: (one.run_name, one.suite), reverse=True)


def index_page(validations: list[Validation]) -> str:
    """Return the index as HTML."""
    rows = "\n".join(_row(one) for one in validations)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Adbreak data docs</title>{STYLE}</head>
<body><h1>Data docs</h1>
<p>What Great Expectations found, newest first.</p>
<table><tr><th>run</th><th>suite</th><th>result</th><th>rules kept</th></tr>
{rows}
</table></body></html>
"""


def _row(one: Validation) -> str:
    result = "passed" if one.success else '<strong class="failed">failed</strong>'
    link = f'<a href="{html.escape(one.page)}">{html.escape(one.run_name)}</a>'
    return (
        f"<tr><td>{link}</td><td>{html.escape(one.suite)}</td><td>{result}</td><td>{one.kept} of {one.rules}</td></tr>"
    )
