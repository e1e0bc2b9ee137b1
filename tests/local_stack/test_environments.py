import pytest
from local_stack import environments
from local_stack.environments import Environment, SetupFailed


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A project of its own with an empty environment."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "VENVS", tmp_path / ".venv")
    path = tmp_path / "lock.txt"
    path.write_text("a==1\n")
    (tmp_path / ".venv" / "x").mkdir(parents=True)
    return path


def test_an_environment_is_current_until_its_lock_changes(lock):
    environment = Environment("x", "lock.txt", editable=False)
    assert not environments.is_current(environment)
    (environment.folder / environments.STAMP).write_text(environments.stamp_of(environment))
    assert environments.is_current(environment)
    lock.write_text("a==2\n")
    assert not environments.is_current(environment)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("error: failed to write: No space left on device (os error 28)", "no space left on the disk"),
        ("error: Failed to fetch: `x`\n  dns error: failed to lookup", "is there a network"),
        ("error: something else", "the installer failed"),
    ],
)
def test_failures_of_the_installer_are_explained(output, reason):
    message = environments.explain("ml", output)
    assert reason in message
    assert output.splitlines()[-1].strip() in message


def test_an_installer_that_fails_stops_the_set_up(lock, capsys):
    with pytest.raises(SetupFailed, match="environment x: no space left"):
        environments.run("x", ["/bin/sh", "-c", "echo Downloading b; echo ' + a==1'; echo No space left; exit 2"])
    shown = capsys.readouterr().out
    assert "[set-up] x: Downloading b" in shown
    assert "a==1" not in shown


def test_an_unknown_environment_is_refused(capsys):
    assert environments.main(["nonsense"]) == 2
    assert "expected airflow, ml, stack" in capsys.readouterr().err
