"""Reads the tensors of a legacy PyTorch checkpoint without PyTorch, and without running what is in it.

    tensors = read_state_dict(Path("efficientnet-lite0.pth"))     # {'_conv_stem.weight': float32 [32, 3, 3, 3], ...}

The legacy file is a row of pickles (magic number, protocol, system info, state dict, storage keys) followed by the
storages: a little-endian int64 count and the raw values each, in the order of the keys. A pickle can call anything, so
only the three names that a state dict of plain tensors needs are let through.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ml_training.utils.errors import ModelError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
STORAGE_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


class _Storage:
    def __init__(self, dtype: str, key: str, size: int) -> None:
        self.dtype, self.key, self.size = dtype, key, size


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride


class _StateDictUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: _Tensor(storage, offset, tuple(shape), tuple(stride))
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise ModelError(f"the checkpoint asks for {module}.{name}: only plain tensors are read")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, size = pid[:5]
        return _Storage(dtype, key, size)


def read_state_dict(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return every tensor of the checkpoint by name. Raises ModelError when it is not a legacy state dict."""
    with path.open("rb") as file:
        try:
            magic, _, _ = (_StateDictUnpickler(file).load() for _ in range(3))
            if magic != MAGIC_NUMBER:
                raise ModelError(f"{path.name} is not a legacy PyTorch checkpoint: its magic number is {magic!r}")
            tensors = _StateDictUnpickler(file).load()
            keys = _StateDictUnpickler(file).load()
        except (pickle.UnpicklingError, EOFError) as error:
            raise ModelError(f"{path.name} is not a legacy PyTorch checkpoint: {error}") from error
        storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        values = {key: _read_storage(file, storages[key]) for key in keys}
    return {name: _view(tensor, values[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, storage: _Storage) -> npt.NDArray[Any]:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    dtype = np.dtype(storage.dtype)
    data = file.read(count * dtype.itemsize)
    if count != storage.size or len(data) != count * dtype.itemsize:
        raise ModelError(f"the checkpoint is cut off: storage {storage.key} should have {storage.size} values")
    return np.frombuffer(data, dtype)


def _view(tensor: _Tensor, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    strides = [step * values.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides).copy()
