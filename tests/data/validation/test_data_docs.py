"""The data docs ask nobody else for anything, and their index leads to every page."""

import json

from ml_training.data.validation.data_docs import index_page, read_validations, without_outside

PAGE = """<html><head><link rel="stylesheet" href="https://cdn.example/x.css"/>
<link rel="icon" href="../static/favicon.ico"><script src="https://cdn.example/x.js" integrity="sha"></script></head>
<body><img src="https://assets.example/logo.png?dataContextId=1"><h1>Suite</h1><a href="../index.html">Home</a>
<p>Stay current on everything GX with our newsletter <a href="https://x.example/?utm=1">Subscribe</a></p></body></html>"""


def test_references_to_other_hosts_go_and_the_rest_stays():
    page = without_outside(PAGE)
    assert "https://" not in page
    assert 'href="../static/favicon.ico"' in page
    assert '<a href="../index.html">Home</a>' in page
    assert "<style>" in page
    assert without_outside(page) == page


def test_the_index_lists_validations_newest_first(tmp_path):
    results = tmp_path / "results"
    for run_name, success in (("2026-01-05-frames", True), ("2026-01-06-frames", False)):
        folder = results / "frames" / run_name
        folder.mkdir(parents=True)
        content = {
            "suite_name": "frames",
            "success": success,
            "statistics": {"successful_expectations": 3, "evaluated_expectations": 3 + (not success)},
            "meta": {"run_id": {"run_name": run_name}},
        }
        (folder / "batch.json").write_text(json.dumps(content))
    index = index_page(read_validations(results))
    assert index.index("2026-01-06") < index.index("2026-01-05")
    assert 'href="validations/frames/2026-01-06-frames/batch.html"' in index
    assert "3 of 4" in index
