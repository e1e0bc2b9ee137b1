import time

import pytest
from ml_training.edge.agent.budget import BLOCK_BYTES, Budget, RateLimiter
from ml_training.edge.agent.clock import Clock
from ml_training.utils.errors import DeliveryUnreachable


def budget(tmp_path, limit=100_000, offset=0.0, direction="download"):
    return Budget(tmp_path / "budget.json", direction, limit_bytes=limit, clock=Clock(offset))


def test_a_day_has_so_many_bytes_and_no_more(tmp_path):
    today = budget(tmp_path)
    today.spend(60_000)
    today.spend(40_000)
    with pytest.raises(DeliveryUnreachable, match=r"download budget of 100000 bytes .* tomorrow"):
        today.spend(1)
    budget(tmp_path, direction="upload").spend(100_000)
    budget(tmp_path, offset=86_400).spend(100_000)


def test_a_killed_process_forgets_nothing_and_counts_a_block_too_much_at_most(tmp_path):
    killed = budget(tmp_path)
    killed.spend(1000)  # never closed
    assert 1000 <= budget(tmp_path).spent() <= BLOCK_BYTES
    closed = budget(tmp_path, direction="upload")
    closed.spend(1000)
    closed.close()
    assert budget(tmp_path, direction="upload").spent() == 1000


@pytest.mark.parametrize("content", ["{", "[]", '{"day": "2026-11-23", "download": null}'])
def test_a_damaged_file_counts_anew(tmp_path, content):
    (tmp_path / "budget.json").write_text(content.replace("2026-11-23", Clock().now().date().isoformat()))
    budget(tmp_path).spend(1)


def test_a_rate_is_kept():
    limiter = RateLimiter(100_000)
    start = time.monotonic()
    for _ in range(16):
        limiter.wait_for(10_000)
    assert time.monotonic() - start > 0.5  # 160 kB, of which 100 kB may come at once
    RateLimiter(None).wait_for(1 << 40)
