"""The rules of the suite ``dataset``; ``suites.dataset`` says what its tables hold.

Leaks and damage stop the training. So does a feature of the frames that moved by a standard deviation or more against
the champion's data (``DRIFT_STOP``), unless somebody says that it is meant; what is merely unusual is told.
"""

from typing import Any

from ml_training.data.validation.rules import Rules, between, once, zero

CHANNELS_COMPARED = 3  # with fewer, one channel always prevails
DRIFT_WARN = 0.25  # of the stability index beyond chance: commonly called a large change
DRIFT_STOP = 1.0  # a normal feature moved by one standard deviation: another extractor, or another kind of data


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    leak = {"max_value": 1}
    return {
        "version": _version(),
        "proof": [zero("problems", "verified", "stop", "what `dataset verify` checks holds")],
        "recordings": _recordings(),
        "creatives": [
            between("splits", "creative_in_one_split", "stop", "no creative is scored in two splits", **leak)
        ],
        "airings": [
            between(
                "splits",
                "airing_in_one_split",
                "stop",
                "no creative of the catalogue is scored in two splits (else build the version again)",
                **leak,
            )
        ],
        "channels": _channels(),
        "splits": _splits(),
        "features": _features(),
    }


def _version() -> list[Any]:
    return [
        zero("missing_columns", "columns", "stop", "the manifest has the columns that readers expect"),
        zero("other_name", "card_is_its_own", "stop", "the card is of this version"),
        between("rows", "has_rows", "stop", "the manifest lists frames", min_value=1),
        zero("missing_shards", "pictures_there", "stop", "sampled files with pictures are there"),
        zero("reference_missing", "drift_measured", "warn", "the data to measure drift against is there"),
    ]


def _recordings() -> list[Any]:
    one = {"min_value": 1, "max_value": 1}
    return [
        once("recording_id", "recording_once", "stop", "each recording is there once"),
        between("splits", "recording_in_one_split", "stop", "no recording is in two splits", **one),
        between("channel_splits", "channel_in_one_split", "stop", "no held-out channel is in two splits", **one),
        zero("unlike_record", "split_as_recorded", "stop", "splits are as recorded at first sight"),
        zero("unknown_splits", "split_known", "stop", "splits are train, validation, test"),
        zero("wrong_labels", "label_value", "stop", "labels are 1, 0 or -1"),
        zero("times_not_after", "frame_once", "stop", "frames of a recording follow each other in time"),
        zero("pictures_twice", "picture_once", "stop", "no picture is listed twice"),
        zero("unknown_frames", "frames_there", "stop", "each frame is in the index of its extraction"),
        between("labelled_share", "mostly_labelled", "warn", "at least half of a recording is labelled", min_value=0.5),
    ]


def _channels() -> list[Any]:
    usual = {"min_value": 0.02, "max_value": 0.6}
    return [
        between("share", "no_channel_prevails", "warn", "no channel has 70 % of what is scored", max_value=0.7),
        between("ad_share", "channel_ad_share", "warn", "ads are 2 to 60 % of each channel", **usual),
    ]


def _splits() -> list[Any]:
    return [
        between("ad", "has_ads", "stop", "every split has frames of ads", min_value=1),
        between("content", "has_content", "stop", "every split has frames of content", min_value=1),
        between("recordings", "several_recordings", "warn", "every split has two recordings or more", min_value=2),
        between("ad_share", "ad_share", "warn", "ads are 5 to 50 % of what is scored", min_value=0.05, max_value=0.5),
        between(
            "off_share", "balanced", "warn", "splits are within 20 points of their share of the frames", max_value=0.2
        ),
        between(
            "ignored_share", "rarely_ignored", "warn", "at most 5 % of a test set is of ignored classes", max_value=0.05
        ),
        between("masked_share", "rarely_masked", "warn", "at most half of a split's ads are masked", max_value=0.5),
        between(
            "seen_picture_share",
            "pictures_unseen",
            "warn",
            "at most 5 % of the pictures are in training too",
            max_value=0.05,
        ),
    ]


def _features() -> list[Any]:
    return [
        between(
            "excess", "little_drift", "warn", "no feature moved by more than 0.25 beyond chance", max_value=DRIFT_WARN
        ),
        between(
            "shift", "no_large_drift", "stop", "no feature moved by more than 1.0 beyond chance", max_value=DRIFT_STOP
        ),
    ]
