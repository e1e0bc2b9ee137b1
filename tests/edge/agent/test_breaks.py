import numpy as np
from ml_training.edge.agent.breaks import Break, BreakFiles, BreakFinder


def found(scores, threshold=0.5):
    finder = BreakFinder(threshold)
    breaks = [found for pts, score in enumerate(scores) for found in finder.see(float(pts), float(score))]
    return [(item.start, item.end) for item in [*breaks, *finder.finish()]]


def test_a_break_is_found_where_it_is():
    assert found([0] * 40 + [1] * 60 + [0] * 40) == [(40, 100)]


def test_single_wrong_frames_and_short_gaps_do_not_break_it():
    scores = [0] * 40 + [1] * 30 + [0] * 6 + [1] * 30 + [0] * 40
    assert found(scores) == [(40, 106)]
    noisy = np.array([0] * 60 + [1] * 60 + [0] * 60)
    noisy[[10, 30, 80, 100, 150]] = 1 - noisy[[10, 30, 80, 100, 150]]
    assert found(noisy) == [(60, 120)]


def test_two_breaks_stay_two_and_a_flash_is_none():
    assert found([0] * 20 + [1] * 20 + [0] * 30 + [1] * 20 + [0] * 20) == [(20, 40), (70, 90)]
    assert found([0] * 30 + [1] * 6 + [0] * 30) == []


def test_a_break_that_goes_on_at_the_edges_is_whole():
    assert found([1] * 30) == [(0, 30)]
    assert found([]) == []
    assert found([0] * 20 + [1] * 30) == [(20, 50)]


def test_a_break_is_told_soon_after_it_is_over():
    finder = BreakFinder(0.5)
    told = [pts for pts in range(100) if finder.see(float(pts), 1.0 if 20 <= pts < 50 else 0.0)]
    assert told == [64]  # ten seconds that might go on, and four to smooth


def test_files_hold_every_break_at_any_time(tmp_path):
    files = BreakFiles(tmp_path, "monday/news")
    assert not files.edl_file.exists()
    files.write()
    assert files.edl_file.read_text() == ""
    files.add(Break(1.0, 31.5, 0.9))
    files.add(Break(100.0, 131.0, 0.8))
    assert files.edl_file.read_text() == "1.000\t31.500\t0\n100.000\t131.000\t0\n"
    assert len(files.lines_file.read_text().splitlines()) == 2
