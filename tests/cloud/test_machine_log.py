"""A machine's log: in pieces, bounded, without the frames of a progress display."""

from ml_training.cloud import machine_log
from ml_training.cloud.machine_log import MachineLog


def test_a_piece_is_the_same_until_it_is_stored():
    log = MachineLog()
    assert log.piece() is None
    log.add("one")
    assert log.piece() == (1, b"one\n")
    log.add("two")
    assert log.piece() == (1, b"one\n"), "it was not stored: the bucket did not answer"
    log.stored()
    assert log.piece() == (2, b"two\n")
    log.stored()
    assert log.piece() is None


def test_of_a_progress_display_only_the_newest_line_is_kept():
    log = MachineLog()
    log.add("begins")
    for percent in range(50):
        log.add(f"{percent} %", transient=True)
    assert log.tail() == "begins\n49 %"
    assert log.piece() == (1, b"begins\n49 %\n")
    log.stored()
    log.add("50 %", transient=True)
    log.add("done")
    assert log.piece() == (2, b"done\n")
    assert log.tail() == "begins\n49 %\ndone"


def test_a_flood_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(machine_log, "LARGEST_PIECE", 1000)
    monkeypatch.setattr(machine_log, "SMALL_PIECE", 100)
    monkeypatch.setattr(machine_log, "LARGEST_LOG", 1500)
    log = MachineLog()
    sizes = []
    for _ in range(4):
        for number in range(1000):
            log.add(f"line {number}")
        _, piece = log.piece()
        assert piece.startswith(b"[")
        assert b"lines were left out here]\n" in piece
        assert piece.endswith(b"line 999\n")
        log.stored()
        sizes.append(len(piece))
    assert max(sizes) < 1100
    assert sizes[-1] < 200, "it is very long already"
    assert log.tail().splitlines()[-1] == "line 999"
