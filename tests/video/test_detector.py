"""ONNX detectors: what their outputs mean, told by their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from resight.core.errors import ConfigError, WeightsError
from resight.data.city.moving.filming import film
from resight.data.city.moving.town import Town, TownConfig
from resight.video.boxes import ious, suppressed
from resight.video.detector import OnnxDetector

FRAME = np.zeros((100, 200, 3), np.uint8)  # resized by 0.32 into the upper left of 64 x 64
Array = npt.NDArray[np.generic]


def network(path: Path, *outputs: Array, size: int = 64) -> Path:
    """A network that gives these, whatever it sees."""
    nodes, infos = [], []
    for number, output in enumerate(outputs):
        name = f"out{number}"
        kind = helper.np_dtype_to_tensor_dtype(output.dtype)
        tensor = helper.make_tensor(f"value{number}", kind, output.shape, output.tobytes(), raw=True)
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        infos.append(helper.make_tensor_value_info(name, kind, output.shape))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])
    graph = helper.make_graph(nodes, "fixed", [images], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


PERSON = (3.2, 6.4, 12.8, 28.8)  # in pixels of the input: 10, 20, 40, 90 in the frame


def rows_of_six() -> list[Array]:
    return [np.array([[*PERSON, 0.8, 0], [*PERSON, 0.9, 2], [0, 0, 5, 5, 0.05, 0]], np.float32)]


def columns_of_middles() -> list[Array]:
    found = np.zeros((1, 4 + 2, 84), np.float32)
    found[0, :, 3] = [8.0, 17.6, 9.6, 22.4, 0.8, 0.1]
    return [found]


def boxes_and_scores() -> list[Array]:
    return [np.array([[PERSON, (0, 0, 5, 5)]], np.float32), np.array([[0.8, 0.7]], np.float32), np.array([[0, 7]])]


def boxes_in_fractions() -> list[Array]:
    return [np.array([[0.8, 0.1]], np.float32)[..., None], np.array([[PERSON, PERSON]], np.float32) / 64]


def yolox_grid() -> list[Array]:
    """Cell (1, 2) of stride 8 of 8 x 8, 4 x 4 and 2 x 2 cells: middle (8, 17.6) and size (9.6, 22.4)."""
    found = np.zeros((1, 64 + 16 + 4, 5 + 2), np.float32)
    found[0, 2 * 8 + 1] = [8 / 8 - 1, 17.6 / 8 - 2, np.log(9.6 / 8), np.log(22.4 / 8), 0.9, 0.8 / 0.9, 0.1]
    return [found]


@pytest.mark.parametrize(
    "outputs", [rows_of_six(), columns_of_middles(), boxes_and_scores(), boxes_in_fractions(), yolox_grid()]
)
def test_each_layout_finds_the_person(tmp_path: Path, outputs: Sequence[Array]) -> None:
    found = OnnxDetector(network(tmp_path / "net.onnx", *outputs), least=0.2)(FRAME)
    assert found.boxes.tolist() == [pytest.approx([10, 20, 40, 90], abs=0.01)]
    assert found.scores.tolist() == [pytest.approx(0.8)]


def test_what_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"outputs of shapes \(1, 7\)"):
        OnnxDetector(network(tmp_path / "net.onnx", np.zeros((1, 7), np.float32)))
    with pytest.raises(WeightsError, match="cannot be read"):
        OnnxDetector(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(WeightsError, match="does not take the network"):
        OnnxDetector(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match="rgb1, rgb255"):
        OnnxDetector(network(tmp_path / "net.onnx", *rows_of_six()), pixels="grey")


def test_of_boxes_that_overlap_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], np.float32)
    assert suppressed(boxes, np.array([0.5, 0.9, 0.4], np.float32), 0.6).tolist() == [1, 2]


def test_a_real_detector_finds_drawn_people(detector: Path) -> None:
    town = Town(TownConfig(seed=1, people=8, cameras=1, seconds=12, occluders=0))
    find = OnnxDetector(detector, threads=1)
    assert find.layout == "YOLOX grid"
    hit = people = 0
    for frame in list(film(town, 0))[::15]:
        assert frame.pixels is not None
        clear = [each.box for each in frame.truth if each.visibility > 0.7]
        if clear:
            overlaps = ious(np.array(clear), find(frame.pixels).boxes)
            hit += int((overlaps.max(axis=1, initial=0) > 0.5).sum())
            people += len(clear)
    assert people >= 8
    assert hit / people > 0.85
