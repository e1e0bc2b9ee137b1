"""The operator with real commands in real processes."""

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from operators.ml_command import MlCommandOperator, failure_message, is_true

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_variables")]


def run(module: str, spec: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    operator = MlCommandOperator(task_id="task", module=module, spec=spec or {}, environment="airflow", **options)
    return operator.execute({})


def test_result_is_the_last_line_also_when_stderr_speaks_later(command: Callable[..., str]) -> None:
    module = command("""
        print("working")
        import atexit
        atexit.register(lambda: print("goodbye", file=sys.stderr))
        return {"frames": 12, "uri": "s3://adbreak/x"}
    """)
    assert run(module) == {"frames": 12, "uri": "s3://adbreak/x"}


@pytest.mark.parametrize(
    "text",
    ["$(touch pwned) `id` ; rm -rf x", 'it\'s "quoted"', "two\nlines\ttab", "{{ not rendered }}", "--json", "ü€😀"],
)
def test_parameters_arrive_unharmed(command: Callable[..., str], text: str) -> None:
    module = command('return {"text": args.text, "many": args.many}')
    assert run(module, {"text": text, "many": [text, "b"] if not text.startswith("--") else []}) == {
        "text": text,
        "many": [text, "b"] if not text.startswith("--") else None,
    }


def test_called_wrongly_is_not_retried_and_says_why(command: Callable[..., str]) -> None:
    module = command("raise ConfigError(\"there is no config 'base_modle'; did you mean 'base_model'?\")")
    with pytest.raises(AirflowFailException, match="exit code 2\nerror: there is no config 'base_modle'"):
        run(module)


def test_unknown_option_is_not_retried(command: Callable[..., str]) -> None:
    with pytest.raises(AirflowFailException, match="--epocs"):
        run(command("return {}"), {"epocs": 3})


def test_failure_may_be_retried_and_ends_with_the_commands_words(command: Callable[..., str]) -> None:
    module = command("""
        print("a warning before", file=sys.stderr)
        raise AdbreakError("frames: 3 of 9 recordings fail\\n  a: too dark\\n  b: too short")
    """)
    with pytest.raises(AirflowException) as caught:
        run(module)
    assert not isinstance(caught.value, AirflowFailException)
    assert str(caught.value).endswith("error: frames: 3 of 9 recordings fail\n  a: too dark\n  b: too short")
    assert "a warning before" not in str(caught.value)


@pytest.mark.parametrize(("body", "received"), [('print("no json"); os._exit(0)', "no json"), ("return [1]", "list")])
def test_a_result_that_is_no_json_object_fails(command: Callable[..., str], body: str, received: str) -> None:
    with pytest.raises(AirflowException, match=received):
        run(command(body))


def test_the_log_is_live(command: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    module = command("""
        import logging
        logging.getLogger("probe").warning("epoch 1 of 2")
        sys.stdout.write("10%\\r20%\\r")
        print("started")
        time.sleep(1.5)
        print("ended")
        return {}
    """)
    run(module)
    log = capsys.readouterr().out
    times = {
        word: datetime.fromisoformat(log[: log.index(f"[info     ] {word} ")].rsplit("\n", 1)[1].strip())
        for word in ("10%", "started", "ended")
    }
    assert times["ended"] - times["started"] > timedelta(seconds=1)
    assert "[warning  ] " in next(line for line in log.splitlines() if "epoch 1 of 2" in line)


def test_killing_the_task_ends_the_whole_group(command: Callable[..., str], tmp_path: Path) -> None:
    module = command("""
        child = subprocess.Popen(["sleep", "300"])
        open(args.text, "w").write(str(child.pid))
        time.sleep(300)
    """)
    operator = MlCommandOperator(
        task_id="task", module=module, spec={"text": str(tmp_path / "child")}, environment="airflow"
    )
    threading.Timer(0, lambda: _when(tmp_path / "child", operator.on_kill)).start()
    started = time.monotonic()
    with pytest.raises(AirflowException, match="exit code 143"):
        operator.execute({})
    assert time.monotonic() - started < 10
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_a_timeout_ends_the_whole_group(command: Callable[..., str], tmp_path: Path) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout
    from airflow.sdk.execution_time.timeout import timeout

    module = command("""
        child = subprocess.Popen(["sleep", "300"])
        open(args.text, "w").write(str(child.pid))
        time.sleep(300)
    """)
    started = time.monotonic()
    with pytest.raises(AirflowTaskTimeout), timeout(3):
        run(module, {"text": str(tmp_path / "child")})
    assert time.monotonic() - started < 12
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_no_device_no_secret_and_no_airflow_setting_reaches_the_command(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_DEVICE_PI_LOCAL", '{"conn_type": "ssh", "host": "pi"}')
    names = run(command('return {"names": sorted(os.environ)}'))["names"]
    settings = [name for name in names if name.startswith("AIRFLOW_") and not name.startswith("AIRFLOW_CTX_")]
    assert not settings  # AIRFLOW_CTX_... only names the run
    assert not [name for name in names if "DEVICE" in name]
    assert {"PYTHONUNBUFFERED", "DO_NOT_TRACK", "ADBREAK_DATA_DIR"} <= set(names)


def test_secrets_are_in_the_environment_and_in_no_rendered_field(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = {"conn_type": "aws", "login": "key", "password": "hush-hush", "extra": {"endpoint_url": "http://s3"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(aws))
    module = command('return {"key": os.environ["AWS_SECRET_ACCESS_KEY"][::-1]}')
    operator = MlCommandOperator(task_id="task", module=module, spec={}, environment="airflow")
    assert operator.execute({})["key"] == "hush-hush"[::-1]
    assert "hush" not in str([getattr(operator, field) for field in operator.template_fields])


def test_ml_environment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADBREAK_ML_PYTHON", raising=False)
    with pytest.raises(AirflowFailException, match="ADBREAK_ML_PYTHON"):
        MlCommandOperator(task_id="task", module="probe", spec={}).execute({})


def test_too_large_a_spec_is_refused_with_its_size() -> None:
    with pytest.raises(AirflowFailException, match="at most 128000"):
        run("probe", {"many": ["x" * 1000] * 200})


@pytest.mark.parametrize(
    ("value", "yes"), [("True", True), (True, True), ("False", False), ("None", False), ("", False)]
)
def test_skip_if(value: Any, yes: bool) -> None:
    assert is_true(value) is yes
    if yes:
        with pytest.raises(AirflowSkipException):
            run("never_run", skip_if=value)


def test_failure_message_without_an_error_line_is_the_end_of_stderr() -> None:
    assert failure_message([str(n) for n in range(9)]) == "4\n5\n6\n7\n8"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _when(path: Path, then: Callable[[], None]) -> None:
    while not path.exists() or not path.read_text():
        time.sleep(0.05)
    then()
