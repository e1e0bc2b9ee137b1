"""The multimodal model's head: ten seconds of pictures and sound around the frame that is judged.

    head = build_head(ModelSection(architecture="multimodal"), embedding_size=256)
    head(clip_inputs(embeddings, mfcc))           # float32 [N, 10, 256] and [N, 998, 40] -> [N, 1]
    head(clip_inputs(embeddings, None, bands=40)) # without sound: from the pictures alone

Pictures and sound each say the log odds of an ad by themselves, and meet last: a weighted sum of both, or the pictures
alone where ``has_sound`` is 0. Nothing of a branch depends on the other, so each learns by itself (``branches_of``).
Learned together, the pictures, which their trunk has seen before, would leave the sound nothing to say.

The sound's branch is small: mean, spread and rise of the lower MFCC over the clip, and a weight for each. Over channels
that were not learned this says more than convolutions over the windows, which remember the ads that they heard.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.data.pipeline.examples import CLIPS
from ml_training.inference.sound import clip_windows, scale_mfcc
from ml_training.models.blocks import class_output

COEFFICIENTS = 20  # of the MFCC: finer shapes of the spectrum tell channels from each other, not ads from programme
BRANCH_UNITS = 64
STATISTICS = ("sound_mean", "sound_spread", "sound_rise")
FUSION = [[1.0], [0.0], [1.0], [0.0]]  # of pictures, pictures of clips with sound, sound, and that there is sound

Floats = npt.NDArray[np.float32]


class Branches(NamedTuple):
    """The parts of a head that learn by themselves; they share its layers.

    ``pictures``: embeddings -> P(ad) by pictures. ``statistics``: sound -> three of [N, 20]. ``sound``: -> log odds.
    """

    pictures: keras.Model
    statistics: keras.Model
    sound: keras.Model


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
    seen = _picture_branch(embeddings, frames, embedding_size, section)
    heard = layers.Multiply(name="sound_gate")([_sound_branch(sound), has_sound])
    both = layers.Multiply(name="pictures_gate")([seen, has_sound])
    x = layers.Concatenate(name="fusion")([seen, both, heard, has_sound])
    head = keras.Model([embeddings, sound, has_sound], class_output(x, section), name="multimodal")
    if len(section.classes) == 2:
        fuse(head, np.array(FUSION, np.float32), 0.0)
    return head


def fuse(head: keras.Model, weights: Floats, bias: float) -> None:
    """Set how the branches are added: ``weights`` [4, 1] as ``FUSION`` says, and ``bias``, in log odds."""
    head.layers[-1].set_weights([np.asarray(weights, np.float32), np.array([bias], np.float32)])


def branches_of(head: keras.Model) -> Branches:
    """Return the branches of a head."""
    embeddings, sound, _ = head.inputs
    seen = layers.Activation("sigmoid", name="ad_by_pictures")(head.get_layer("pictures_odds").output)
    return Branches(
        pictures=keras.Model(embeddings, seen, name="pictures"),
        statistics=keras.Model(sound, [head.get_layer(name).output for name in STATISTICS], name="statistics"),
        sound=keras.Model(sound, head.get_layer("sound_odds").output, name="sound"),
    )


def weigh_statistics(head: keras.Model, weights: npt.NDArray[np.float64], bias: float) -> None:
    """Set the weights of the sound's statistics, [3, 20] in the order of ``STATISTICS``, and their bias."""
    for number, (name, row) in enumerate(zip(STATISTICS, weights, strict=True)):
        values = [np.asarray(row, np.float32)[:, None], np.array([0.0 if number else bias], np.float32)]
        head.get_layer(f"{name}_odds").set_weights(values)


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
    x = layers.Conv2D(BRANCH_UNITS, (3, 1), padding="same", use_bias=False, name="frames_conv")(x)  # 2-D: int8 has it
    x = layers.BatchNormalization(name="frames_bn")(x)
    x = layers.ReLU(name="frames_relu")(x)
    x = layers.Flatten(name="frames_flat")(x)
    x = layers.Dense(BRANCH_UNITS, activation="relu", name="frames_dense")(x)
    x = layers.Dropout(section.dropout, name="dropout")(x)
    return layers.Dense(1, name="pictures_odds")(x)


def _sound_branch(sound: Any) -> Any:
    """Return the log odds [N, 1] of sound [N, windows, bands].

    Each statistic has a weight layer of its own, since int8 gives all that is joined one scale: a rise is a tenth of
    a mean.
    """
    windows, bands = sound.shape[1:]
    x = layers.Reshape((windows, bands, 1), name="bands")(sound)
    x = layers.Cropping2D(((0, 0), (0, bands - COEFFICIENTS)), name="lower_bands")(x)
    x = layers.Reshape((windows, 1, COEFFICIENTS), name="windows")(x)
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="window_mean")(x)
    above = layers.ReLU(name="above")(layers.Subtract(name="from_mean")([x, mean]))
    later = layers.Cropping2D(((1, 0), (0, 0)), name="later")(x)
    earlier = layers.Cropping2D(((0, 1), (0, 0)), name="earlier")(x)
    rising = layers.ReLU(name="rising")(layers.Subtract(name="change")([later, earlier]))
    statistics = (
        layers.Flatten(name="sound_mean")(mean),
        layers.GlobalAveragePooling2D(name="sound_spread")(above),  # half of the mean distance from the mean
        layers.GlobalAveragePooling2D(name="sound_rise")(rising),
    )
    said = [layers.Dense(1, name=f"{name}_odds")(values) for name, values in zip(STATISTICS, statistics, strict=True)]
    return layers.Add(name="sound_odds")(said)
