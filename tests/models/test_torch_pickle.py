"""A checkpoint is data, never code."""

import pickle

import pytest
from ml_training.models import efficientnet
from ml_training.models.torch_pickle import MAGIC_NUMBER, read_state_dict
from ml_training.utils.errors import ModelError


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def write(path, *values, tail=b""):
    path.write_bytes(b"".join(pickle.dumps(value, protocol=2) for value in values) + tail)
    return path


def test_code_in_a_checkpoint_is_refused(tmp_path, capsys):
    path = write(tmp_path / "evil.pth", MAGIC_NUMBER, 1001, {}, {"weight": Evil()}, [])
    with pytest.raises(ModelError, match="only plain tensors"):
        read_state_dict(path)
    assert "never run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(1, protocol=2) * 5])
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"file\.pth is not a legacy PyTorch checkpoint"):
        read_state_dict(path)


def test_the_imagenet_checkpoint_has_every_tensor():
    tensors = read_state_dict(efficientnet._checkpoint())
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_blocks.0._depthwise_conv.weight"].shape == (32, 1, 3, 3)
