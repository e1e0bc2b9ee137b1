"""A file whose metadata and names were set is the same network, and says what it is."""

import numpy as np
import pytest
import tf_keras as keras
from ml_training.conversion.converting import loaded
from ml_training.conversion.describing import finished
from ml_training.conversion.files import to_int8
from ml_training.conversion.manifest import Preprocessing
from ml_training.conversion.metadata import METADATA_NAME, REPEATED, FileMetadata, finish, read_metadata
from ml_training.inference.description import ViewDescription
from ml_training.inference.flatbuffer import operators, pack, unpack
from ml_training.utils.errors import ModelError

FACTS = FileMetadata(
    part="head",
    model_name="base-general",
    labels=["content", "ad"],
    threshold=0.4321,
    preprocessing=Preprocessing(resize="x"),
    view=ViewDescription(),
    mfcc_bands=40,
    minimum_runtime="1.2.0",
    dataset_id="d",
    run_id="r",
    git_commit=None,
    code_version="c",
    quantization="int8-ptq",
    keep_float=[],
    calibration_id=None,
)


@pytest.fixture(scope="module")
def files():
    """A network of two inputs, as converted and as finished."""
    keras.utils.set_random_seed(1)
    first, second = keras.layers.Input((6,), name="first"), keras.layers.Input((4,), name="second")
    x = keras.layers.Concatenate(name="both")([keras.layers.Dense(37, name="wide")(first), second])
    model = keras.Model([first, second], keras.layers.Dense(1, activation="sigmoid", name="ad")(x))
    generator = np.random.default_rng(0)
    examples = [{"first": generator.normal(size=6), "second": generator.normal(size=4)} for _ in range(8)]
    content = to_int8(model, examples)
    return content, finish(content, FACTS, inputs=["first", "second"], output="scores")


def interpreter_of(content):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return interpreter


def run(content, values):
    interpreter = interpreter_of(content)
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], values[tuple(details["shape"])])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_the_network_computes_as_before(files):
    before, after = files
    generator = np.random.default_rng(1)
    for _ in range(20):
        values = {shape: generator.integers(-128, 128, shape).astype(np.int8) for shape in ((1, 6), (1, 4))}
        assert np.array_equal(run(before, values), run(after, values))


def test_the_file_says_what_it_is(files):
    before, after = files
    assert read_metadata(before) is None
    assert read_metadata(after) == FACTS


def test_finished_again_it_says_only_the_last(files):
    again = finish(files[1], FACTS.model_copy(update={"threshold": 0.9}), inputs=["first", "second"], output="scores")
    assert read_metadata(again).threshold == 0.9
    assert [entry.name for entry in unpack(again).metadata].count(METADATA_NAME.encode()) == 1


def test_inputs_go_by_their_names(files):
    interpreter = interpreter_of(files[1])
    assert [item["name"] for item in interpreter.get_input_details()] == ["first", "second"]
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["first", "second"], "outputs": ["scores"]}
    }
    answer = interpreter.get_signature_runner()(first=np.ones((1, 6), np.int8), second=np.zeros((1, 4), np.int8))
    expected = run(files[1], {(1, 6): np.ones((1, 6), np.int8), (1, 4): np.zeros((1, 4), np.int8)})
    assert np.array_equal(answer["scores"], expected)


def test_names_that_a_converter_made_up_are_replaced(files):
    facts = {name: getattr(FACTS, name) for name in REPEATED}
    strange = finish(files[0], FACTS, inputs=["net/quantize;a", "net/quantize;b"], output="Identity")
    done = finished(loaded("head", strange, ("first", "second")), facts)
    assert (list(done.part.inputs), done.part.output["name"]) == (["first", "second"], "scores")
    turned = finish(files[0], FACTS, inputs=["second", "first"], output="Identity")
    done = finished(loaded("head", turned, ("first", "second")), facts)
    assert list(done.part.inputs) == ["second", "first"], "the converter changed the order and kept the names"


def test_weights_lie_at_multiples_of_sixteen(files):
    for content in (files[1], pack(unpack(files[0]))):
        model = unpack(content)
        weights = [buffer.data for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 30]
        places = [content.index(np.asarray(data).tobytes()) for data in weights]
        assert len(places) > 2
        assert [place % 16 for place in places] == [0] * len(places)


def test_operators_are_told_with_what_flows_through_them(files):
    found = list(operators(unpack(files[1])))
    assert [operator.name for operator in found] == ["FULLY_CONNECTED", "CONCATENATION", "FULLY_CONNECTED", "LOGISTIC"]
    assert {kind for operator in found for kind in operator.activations.values()} == {"int8"}
    assert "first" in found[0].activations


def test_metadata_that_nobody_can_read_is_refused(files):
    broken = files[1].replace(b'"threshold":0.4321', b'"threshold":"high"')
    with pytest.raises(ModelError, match="the metadata in the file"):
        read_metadata(broken)
