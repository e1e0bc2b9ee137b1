"""Commands: exit codes, the one line of JSON, parameters that come by the environment."""

import errno
import json
import logging

import pytest
from ml_training.utils.command_line import SPEC_VARIABLE, Terminated, command_parser, run_command, spec_to_arguments
from ml_training.utils.errors import DataError, ObjectNotFound


@pytest.fixture(autouse=True)
def _quiet_logging(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)


def parser_that(action):
    parser = command_parser("ml_training.example", "An example.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build")
    build.add_argument("--name")
    build.add_argument("--items", nargs="*")
    build.add_argument("--dry-run", action="store_true")
    build.set_defaults(run=action)
    return parser


def result_of(args):
    return {"name": args.name, "items": args.items, "dry_run": args.dry_run}


def fail_with(error):
    def action(_args):
        raise error

    return action


def test_json_prints_one_line(capsys):
    assert run_command(parser_that(result_of), ["--json", "build", "--name", "x"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "x", "items": None, "dry_run": False}


def test_people_read_aligned_lines(capsys):
    assert run_command(parser_that(result_of), ["build", "--name", "x"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "name     x"


@pytest.mark.parametrize(
    "name", ["plain", "two words", "$(touch /tmp/x); 'q' \"q\"", "--looks-like-an-option", "line\nbreak"]
)
def test_spec_arrives_unharmed(name, monkeypatch, capsys):
    spec = {"command": "build", "name": name, "items": ["a b", "c"], "dry_run": True}
    monkeypatch.setenv(SPEC_VARIABLE, json.dumps(spec))
    assert run_command(parser_that(result_of), ["--json", "--spec-from-env"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": name, "items": ["a b", "c"], "dry_run": True}


def test_spec_leaves_out_what_is_absent():
    assert spec_to_arguments({"command": "x", "a": None, "b": False, "c": [], "d": {"k": 1}}) == ["x", '--d={"k": 1}']


@pytest.mark.parametrize("spec", [None, "not json", "[1]"])
def test_wrong_spec_is_a_usage_error(spec, monkeypatch, capsys):
    monkeypatch.delenv(SPEC_VARIABLE, raising=False)
    if spec is not None:
        monkeypatch.setenv(SPEC_VARIABLE, spec)
    assert run_command(parser_that(result_of), ["--spec-from-env"]) == 2
    assert SPEC_VARIABLE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (DataError("expected a, received b"), 1, "error: expected a, received b"),
        (ObjectNotFound("no such thing"), 1, "error: no such thing"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/disk/file"),
            1,
            "no space left on the disk that holds /disk/file",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(), 143, "terminated"),
    ],
)
def test_errors_become_messages(error, exit_code, said, capsys):
    assert run_command(parser_that(fail_with(error)), ["build"]) == exit_code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_wrong_call_names_the_usage(capsys):
    assert run_command(parser_that(result_of), ["build", "--nmae", "x"]) == 2
    assert "usage: python -m ml_training.example" in capsys.readouterr().err


def test_an_error_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(parser_that(fail_with(ZeroDivisionError())), ["build"])


def test_errors_carry_their_facts():
    error = DataError("bad", uri="s3://a/b")
    assert error.uri == "s3://a/b"
    with pytest.raises(AttributeError):
        _ = error.nothing
