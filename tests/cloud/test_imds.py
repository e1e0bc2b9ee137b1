"""What a machine knows of itself, and what it does not say when nobody answers."""

from datetime import UTC, datetime

from ml_training.cloud.imds import Metadata


def test_it_says_what_the_service_says(metadata_service):
    metadata = Metadata()
    assert metadata.facts() == ("i-0123456789abcdef0", "g5.xlarge", "us-east-1a", "spot")
    assert metadata.get("spot/instance-action") is None
    assert (metadata.notice(), metadata.rebalance()) == (None, None)
    metadata_service.give_notice("2026-01-05T02:00:00Z")
    metadata_service.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-01-05T01:50:00Z"}'
    assert metadata.notice() == ("terminate", datetime(2026, 1, 5, 2, tzinfo=UTC))
    assert metadata.rebalance() == "2026-01-05T01:50:00Z"


def test_nonsense_and_silence_are_no_notice(metadata_service):
    metadata = Metadata()
    for said in ("", "no JSON", "[]", '{"action": "terminate"}', '{"action": "terminate", "time": "soon"}'):
        metadata_service.values["spot/instance-action"] = said
        assert metadata.notice() is None
    silent = Metadata("http://127.0.0.1:9")
    assert silent.notice() is None
    assert silent.facts() == ("none", None, None, None)
