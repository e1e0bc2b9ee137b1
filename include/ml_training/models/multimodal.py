"""The multimodal model's head: ten seconds of pictures and sound around the frame that is judged.

    head = build_head(ModelSection(architecture="multimodal"), embedding_size=256)
    head(clip_inputs(embeddings, mfcc))           # float32 [N, 10, 256] and [N, 998, 40] -> [N, 1]
    head(clip_inputs(embeddings, None, bands=40)) # without sound: from the pictures alone

Pictures and sound each have a branch of their own, which meet late: the pictures' short convolution in time over the
embeddings that a trunk gives each frame once, the sound's strided convolutions over the MFCC. Its features are
multiplied by ``has_sound``, 1 or 0. In training a drop-out of that number takes the whole sound away from a share of
the examples, so that the model still judges a clip that has none.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.data.pipeline.examples import CLIPS
from ml_training.inference.sound import clip_windows, scale_mfcc
from ml_training.models.blocks import class_output

SOUND_DROPOUT = 0.3  # share of the examples that are learned without their sound
SOUND_STRIDES = ((48, 5, 4), (64, 5, 4), (96, 3, 2), (128, 3, 2))  # (filters, windows of a kernel, stride) in time
BRANCH_UNITS = 64
FUSION_UNITS = 64

Floats = npt.NDArray[np.float32]


def build_head(section: ModelSection, *, embedding_size: int) -> keras.Model:
    """Build both branches and their fusion.

    Inputs, all float32: ``embeddings`` [N, 10, embedding_size], ``sound`` [N, 998, mfcc_bands] as ``scale_mfcc`` gives
    it, ``has_sound`` [N, 1]. Output as every model's.
    """
    frames = len(CLIPS.offsets_seconds)
    start, end = CLIPS.sound_seconds or (0.0, 0.0)
    embeddings = layers.Input((frames, embedding_size), name="embeddings")
    sound = layers.Input((clip_windows(end - start), section.mfcc_bands), name="sound")
    has_sound = layers.Input((1,), name="has_sound")
    heard = layers.Dropout(SOUND_DROPOUT, name="sound_dropout")(has_sound)
    heard = layers.Multiply(name="sound_gate")([_sound_branch(sound), heard])
    x = layers.Concatenate(name="fusion")([_picture_branch(embeddings, frames, embedding_size, section), heard])
    x = layers.Dense(FUSION_UNITS, activation="relu", name="head_dense")(x)
    x = layers.Dropout(section.dropout, name="dropout")(x)
    return keras.Model([embeddings, sound, has_sound], class_output(x, section), name="multimodal")


def clip_inputs(embeddings: Floats, mfcc: Floats | None, *, bands: int = 40) -> dict[str, Floats]:
    """Return the inputs of the head: embeddings [N, 10, D] and MFCC [N, 998, bands] as ``inference.mfcc`` gives it.

    ``mfcc`` None stands for clips without sound, of a model that hears ``bands`` bands.
    """
    start, end = CLIPS.sound_seconds or (0.0, 0.0)
    count = len(embeddings)
    if mfcc is None:
        sound, flags = np.zeros((count, clip_windows(end - start), bands), np.float32), np.zeros((count, 1), np.float32)
    else:
        sound, flags = scale_mfcc(mfcc), np.ones((count, 1), np.float32)
    return {"embeddings": np.asarray(embeddings, np.float32), "sound": sound, "has_sound": flags}


def _picture_branch(embeddings: Any, frames: int, embedding_size: int, section: ModelSection) -> Any:
    x = layers.Dropout(section.dropout, name="embedding_dropout")(embeddings)
    x = layers.Reshape((frames, 1, embedding_size), name="frames")(x)
    x = _convolution_in_time(x, BRANCH_UNITS, 3, 1, "frames")
    x = layers.Flatten(name="frames_flat")(x)
    return layers.Dense(BRANCH_UNITS, activation="relu", name="frames_dense")(x)


def _sound_branch(sound: Any) -> Any:
    windows, bands = sound.shape[1:]
    x = layers.Reshape((windows, 1, bands), name="windows")(sound)
    for number, (filters, kernel, stride) in enumerate(SOUND_STRIDES, start=1):
        x = _convolution_in_time(x, filters, kernel, stride, f"sound{number}")
    x = layers.Concatenate(name="sound_summary")(
        [layers.GlobalAveragePooling2D(name="sound_mean")(x), layers.GlobalMaxPooling2D(name="sound_peak")(x)]
    )
    return layers.Dense(BRANCH_UNITS, activation="relu", name="sound_dense")(x)


def _convolution_in_time(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    """Convolve [N, time, 1, channels] in time: as a 2-D convolution, which every int8 runtime has."""
    x = layers.Conv2D(filters, (kernel, 1), strides=(stride, 1), padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
