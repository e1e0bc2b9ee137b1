"""An ensemble whose members are anywhere: registered versions, addresses, folders.

    with open_ensemble("ensemble.yaml", data_dir="s3://adbreak") as model:      # inference.models.StretchScorer
        model.score(stretch)

A member is a registered version (``base-general/1.2.0``, which lies in ``DATA_DIR/models``), an address, or a folder or
file beside the YAML file. Another way of naming them, such as an alias in the registry, comes with ``resolve``.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ml_training.cloud import storage
from ml_training.config.ensemble import read_ensemble
from ml_training.inference.ensemble import Ensemble
from ml_training.inference.models import open_model
from ml_training.models.stored import local_model
from ml_training.utils.errors import ModelError

Resolve = Callable[[str], str | None]


@contextmanager
def open_ensemble(
    path: str, *, data_dir: str | None = None, resolve: Resolve | None = None, threads: int = 1
) -> Iterator[Ensemble]:
    """Open the ensemble of a YAML file. ``resolve`` turns a member's name into an address, or None for others.

    Raises ModelError that names the member that is nowhere.
    """
    config = read_ensemble(Path(path))
    with ExitStack() as stack:
        members = []
        for name in config.models:
            address = member_address(name, Path(path).parent, data_dir=data_dir, resolve=resolve)
            members.append(open_model(stack.enter_context(local_model(address)), threads=threads))
        yield Ensemble(members, voting=config.voting, weights=config.weights)


def member_address(name: str, folder: Path, *, data_dir: str | None, resolve: Resolve | None = None) -> str:
    """Return where a member is: what ``resolve`` says, an address, beside the YAML file, or in ``DATA_DIR/models``.

    Raises ModelError when it is nowhere.
    """
    found = resolve(name) if resolve else None
    if found:
        return found
    if storage.is_s3(name):
        return name
    if (folder / name).exists():
        return str(folder / name)
    if data_dir is not None:
        registered = storage.join(data_dir, "models", name)
        if storage.exists(storage.join(registered, "manifest.json")):
            return registered
    where = f"{folder}" if data_dir is None else f"{folder} or {storage.join(data_dir, 'models')}"
    raise ModelError(f"the ensemble names {name}, which is not in {where}: name a folder, an address or NAME/VERSION")
