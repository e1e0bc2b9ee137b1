"""The form that a person fills in to trigger ``nightly_retraining``; the clock takes its defaults."""

from airflow.sdk import Param
from ml_training.config.loading import config_names

RETRAINING_FORM = {
    "models": Param(
        ["base_model"],
        type="array",
        items={"type": "string"},
        minItems=1,
        uniqueItems=True,
        examples=config_names(),
        title="Families of models",
        description="Configs: names in include/configs, or paths. Each is trained and judged on its own.",
    ),
    "epochs": Param(
        None, type=["null", "integer"], minimum=0, title="Epochs", description="Empty: what each config says."
    ),
    "seed": Param(1, type="integer", minimum=0, title="Seed", description="Same seed, data and code: same run."),
    "devices": Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        title="Devices",
        description="Names of devices to measure on. Empty: those of the variable adbreak_devices.",
    ),
    "overrides": Param(
        {}, type="object", title="Overrides", description='Values over the configs: {"training.upper.epochs": 2}.'
    ),
    "accept_drift": Param(
        False,
        type="boolean",
        title="Accept drift",
        description="Train although the data drifted far from what the champion learned: it is meant.",
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Check everything, train nothing."),
}
