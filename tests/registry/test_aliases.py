"""Promotion and rollback: what moves, what is refused, and that a killed one is finished from the ledger."""

from collections.abc import Callable
from typing import Any

import pytest
from ml_training.registry.aliases import promote, rollback
from ml_training.registry.ledger import read_ledger
from ml_training.registry.server import RegistryServer
from ml_training.registry.upload import upload
from ml_training.utils.errors import RegistryError

NAME = "base-general"


@pytest.fixture
def three(server: RegistryServer, root: str, make_model: Callable[..., dict[str, str]]) -> RegistryServer:
    """1.0.0 accepted, 1.1.0 accepted, 1.2.0 refused."""
    upload(server, root, **make_model("a"))
    upload(server, root, **make_model("b"))
    upload(server, root, **make_model("c", accepted=False))
    return server


def stands(server: RegistryServer) -> dict[str, str]:
    return {alias: item.semver for item in server.versions(NAME) for alias in item.aliases if alias != "candidate"}


def history(root: str) -> list[tuple[str, str, str | None]]:
    return [
        (event.event, event.model.semver, event.replaced.semver if event.replaced else None)
        for event in read_ledger(root, NAME)
    ]


def test_the_champion_before_becomes_previous(three: RegistryServer, root: str) -> None:
    assert promote(three, root, NAME, "1.0.0", approved_by="ana").changed
    assert promote(three, root, NAME, "challenger", approved_by="ben").changed
    assert stands(three) == {"champion": "1.1.0", "previous": "1.0.0"}
    assert history(root) == [("promoted", "1.0.0", None), ("promoted", "1.1.0", "1.0.0")]
    assert [event.approved_by for event in read_ledger(root)] == ["ana", "ben"]


def test_promoting_twice_changes_nothing(three: RegistryServer, root: str) -> None:
    promote(three, root, NAME, "1", approved_by="ana")
    promote(three, root, NAME, "v1.1.0", approved_by="ana")
    before = stands(three)
    assert promote(three, root, NAME, "2", approved_by="ana").changed is False
    assert stands(three) == before
    assert len(history(root)) == 2


def test_a_refused_version_needs_a_reason(three: RegistryServer, root: str) -> None:
    with pytest.raises(RegistryError, match=r"1\.2\.0 was refused by its gates: recall: 0\.840"):
        promote(three, root, NAME, "1.2.0", approved_by="ana")
    assert history(root) == []
    promote(three, root, NAME, "1.2.0", approved_by="ana", force_reason="the test set is wrong")
    assert stands(three)["champion"] == "1.2.0"
    event = read_ledger(root)[0]
    assert (event.forced, event.reason) == (True, "the test set is wrong")


def test_rollback_and_once_more(three: RegistryServer, root: str) -> None:
    with pytest.raises(RegistryError, match="no previous version"):
        rollback(three, root, NAME, approved_by="ana", reason="nothing there")
    promote(three, root, NAME, "1.0.0", approved_by="ana")
    promote(three, root, NAME, "1.1.0", approved_by="ana")
    assert rollback(three, root, NAME, approved_by="ana", reason="misses a jingle").changed
    assert stands(three) == {"champion": "1.0.0"}
    assert rollback(three, root, NAME, approved_by="ana", reason="misses a jingle").changed is False
    assert history(root)[2:] == [("rolled_back", "1.0.0", "1.1.0")]
    with pytest.raises(RegistryError, match=r"1\.1\.0 was rolled back: .*misses a jingle"):
        promote(three, root, NAME, "1.1.0", approved_by="ana")
    assert promote(three, root, NAME, "1.0.0", approved_by="ana").changed is False
    promote(three, root, NAME, "1.1.0", approved_by="ana", force_reason="the jingle is back")
    assert stands(three) == {"champion": "1.1.0", "previous": "1.0.0"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, call: int, action: Callable[[], Any]) -> None:
    """Run ``action`` and kill it at its ``call``-th change of an alias or a tag."""
    left = [call]

    def count(method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return method(*args)

        return counted

    with monkeypatch.context() as patch:
        for name in ("set_alias", "delete_alias", "set_tags"):
            patch.setattr(RegistryServer, name, count(getattr(RegistryServer, name)))
        with pytest.raises(Killed):
            action()


@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_killed_promotion_is_finished(
    three: RegistryServer, root: str, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    promote(three, root, NAME, "1.0.0", approved_by="ana")
    killed_at(monkeypatch, call, lambda: promote(three, root, NAME, "2", approved_by="ana"))
    assert history(root)[-1] == ("promoted", "1.1.0", "1.0.0")
    promote(three, root, NAME, "2", approved_by="ana")
    assert stands(three) == {"champion": "1.1.0", "previous": "1.0.0"}
    assert len(history(root)) == 2


@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_killed_rollback_is_finished(
    three: RegistryServer, root: str, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    promote(three, root, NAME, "1.0.0", approved_by="ana")
    promote(three, root, NAME, "1.1.0", approved_by="ana")
    killed_at(monkeypatch, call, lambda: rollback(three, root, NAME, approved_by="ana", reason="bad"))
    rollback(three, root, NAME, approved_by="ana", reason="bad")
    assert stands(three) == {"champion": "1.0.0"}
    assert len(history(root)) == 3
    assert "bad" in three.resolve(NAME, "1.1.0").tags["rolled_back"]


@pytest.mark.parametrize("call", [0, 1, 2])
def test_rolling_back_a_killed_promotion(
    three: RegistryServer, root: str, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    promote(three, root, NAME, "1.0.0", approved_by="ana")
    killed_at(monkeypatch, call, lambda: promote(three, root, NAME, "1.1.0", approved_by="ana"))
    rollback(three, root, NAME, approved_by="ana", reason="killed on purpose")
    assert stands(three)["champion"] == "1.0.0"
    assert history(root)[-1] == ("rolled_back", "1.0.0", "1.1.0")


def test_an_alias_set_by_hand_is_respected(three: RegistryServer, root: str) -> None:
    promote(three, root, NAME, "1.0.0", approved_by="ana")
    three.set_alias(NAME, "champion", "3")
    promote(three, root, NAME, "1.1.0", approved_by="ana")
    assert stands(three) == {"champion": "1.1.0", "previous": "1.2.0"}
    assert history(root)[-1] == ("promoted", "1.1.0", "1.2.0")


def test_versions_that_are_not_there(three: RegistryServer, root: str) -> None:
    with pytest.raises(RegistryError, match=r"no version '7'; there is: 1\.2\.0 \(3/candidate\), 1\.1\.0"):
        promote(three, root, NAME, "7", approved_by="ana")
    with pytest.raises(RegistryError, match="there is: none"):
        promote(three, root, "sports-nfl", "1", approved_by="ana")
