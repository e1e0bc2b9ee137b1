"""Answers for the commands of the night in milliseconds, where a real training takes minutes.

Used as the Python of both environments: ``python -m MODULE --json --spec-from-env``. What it answers has the fields
that the real commands print; the end-to-end test runs those. The variable STAND_IN_FAILS names a module, or
``module:word`` for specs that hold the word, that exits with 1; STAND_IN_REFUSES a word of the specs that gates refuse;
STAND_IN_RUNNING a file that makes the first benchmark still run; STAND_IN_STATE what becomes of a job whose watching
fails; STAND_IN_MODELS is what the registry lists; STAND_IN_QUARANTINES says which suite sets which recording aside.
Each call is appended to the file that STAND_IN_CALLS names.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

MODULE = sys.argv[sys.argv.index("-m") + 1].removeprefix("ml_training.")
SPEC = json.loads(os.environ["ADBREAK_SPEC"])


def answer() -> dict[str, Any]:
    """Return what the command would print for this spec."""
    name = f"{MODULE} {SPEC.get('command', '')}".strip()
    trained = prepared() if name == "cloud.spot watch" else SPEC
    run = f"{trained.get('output_dir')}/run-{trained.get('config')}"
    training = {"run_id": "r", "run_uri": run, "model_uri": f"{run}/float/model.keras", "reused": False}
    folder = SPEC.get("model", "").rsplit("/", 1)[0]
    refused = os.environ.get("STAND_IN_REFUSES", "nothing") in json.dumps(SPEC)
    return {
        "data.dataset build": {"dataset_id": f"data-of-{SPEC.get('config')}", "dataset_uri": "x"},
        "data.validation run": {"success": True, "warnings": [], "checked": 1, **quarantined()},
        "training.train": training,
        "training.tracking cost": {"mlflow_run_id": None},
        "cloud.spot prepare": {"job_uri": SPEC.get("job")},
        "cloud.spot watch": training | {"cost": {"usd": 0.12, "machines": 2, "simulated": True}},
        "cloud.spot status": {"state": os.environ.get("STAND_IN_STATE", "failed")},
        "cloud.spot end": {"job_uri": SPEC.get("job"), "state": "done"},
        "training.evaluate": {"evaluation_uri": f"{folder}/evaluation.json", "f1": {"value": 0.9}},
        "conversion.to_tflite": {"model_uri": f"{SPEC.get('output')}/model.tflite", "size_bytes": 4_280_000},
        "registry.client list": {"models": json.loads(os.environ.get("STAND_IN_MODELS", "[]"))},
        "conversion.test_tflite": {"report_uri": f"{folder}/report.json", "size_bytes": 4_280_000},
        "edge.benchmark_trend": {"written": {}},
        "edge.benchmark": {"benchmark_uri": f"{SPEC.get('output')}/{SPEC.get('device')}.json", "simulated": True},
        "registry.gates judge": {
            "accepted": not refused,
            "verdicts_uri": f"{SPEC.get('report')}.verdicts",
            "summary": "REFUSED: recall 0.81" if refused else "ACCEPTED: F1 0.93",
            "spec": SPEC,
        },
        "registry.client upload": {
            "name": SPEC.get("name"),
            "version": "3",
            "semver": "1.2.0",
            "aliases": ["candidate"] if refused else ["candidate", "challenger"],
        },
    }[name]


def prepared() -> dict[str, Any]:
    """Return the options of the training that this job was prepared with."""
    calls = [json.loads(line) for line in Path(os.environ["STAND_IN_CALLS"]).read_text().splitlines()]
    return [call["options"] for call in calls if call.get("job") == SPEC["job"] and "options" in call][-1]


def at_work() -> bool:
    """Tell whether the device is still at work: the first time that STAND_IN_RUNNING's file is not there."""
    mark = os.environ.get("STAND_IN_RUNNING")
    if MODULE != "edge.benchmark" or not mark or Path(mark).exists():
        return False
    Path(mark).touch()
    return True


def quarantined() -> dict[str, Any]:
    """Return what this suite sets aside."""
    name = json.loads(os.environ.get("STAND_IN_QUARANTINES", "{}")).get(SPEC.get("suite"))
    failed = [{"recording_id": name, "detail": f"{SPEC.get('suite')} says so"}] if name else []
    return {"quarantined": [name] if name else [], "failed": failed}


def main() -> int:
    """Log the call, then answer or fail."""
    with Path(os.environ["STAND_IN_CALLS"]).open("a") as file:
        file.write(json.dumps({"module": MODULE, **SPEC}) + "\n")
    module, _, word = os.environ.get("STAND_IN_FAILS", "").partition(":")
    if module == MODULE and word in json.dumps(SPEC):
        print(f"error: {MODULE} fails as asked", file=sys.stderr)
        return 1
    print(json.dumps({"state": "running", "look_again_in_seconds": 0.5} if at_work() else answer()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
