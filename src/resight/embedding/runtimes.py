"""What runs a bundle's network: onnxruntime, or OpenVINO where it is installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from resight.core.cores import available_cores
from resight.core.errors import ConfigError, MissingExtra, WeightsError, unknown_name
from resight.core.records import FloatArray
from resight.embedding.bundle import Bundle


class Runtime(Protocol):
    """A network, loaded. name: of the runtime and what it runs on."""

    name: str

    def __call__(self, images: FloatArray) -> FloatArray:
        """(n, 3, height, width), or (n, height, width, 3) where the bundle says so, float32; (n, dim)."""
        ...


def import_onnxruntime() -> Any:
    """onnxruntime, told not to report home. Its wheel for Linux does from 1.29 on, and keeps an id of the device in
    the home directory, unless this stands in the environment before it is imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


class OnnxRuntime:
    """onnxruntime, on the CPU, or on CUDA where this build of it has CUDA and `device` allows."""

    def __init__(self, bundle: Bundle, threads: int, device: str) -> None:
        onnxruntime = import_onnxruntime()
        cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        if device == "cuda" and not cuda:
            raise ConfigError("this onnxruntime knows no CUDA; install onnxruntime-gpu, or use the device cpu")
        on_gpu = cuda and device != "cpu"
        self._session = open_session(bundle.onnx, bundle.source, threads, on_gpu=on_gpu)
        self._input = bundle.facts.inputs[0].name
        self.name = f"onnxruntime {onnxruntime.__version__} on {'CUDA' if on_gpu else 'the CPU'}"

    def __call__(self, images: FloatArray) -> FloatArray:
        out: FloatArray = self._session.run(None, {self._input: images})[0]
        return out


def open_session(onnx: bytes, source: str, threads: int | None, *, on_gpu: bool = False) -> Any:
    """An onnxruntime.InferenceSession. threads: None, one a core. Raises WeightsError where it does not take the
    network."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes as an exception
    providers = [*(["CUDAExecutionProvider"] if on_gpu else []), "CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=providers)
    except Exception as error:  # its exceptions have no common base of their own
        raise WeightsError(f"{source}: onnxruntime does not take the network ({short(error)})") from None


class OpenVino:
    """OpenVINO on the CPU, in float32 where the network is: its own choice would be bfloat16 where there is some."""

    def __init__(self, bundle: Bundle, threads: int, device: str) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtra("OpenVINO", "openvino") from None
        if device == "cuda":
            raise ConfigError("OpenVINO runs on no CUDA device; use the device cpu, or onnxruntime")
        core = openvino.Core()
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            # It would bind the calling thread to the first core, and those of several processes all to the same one.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._request = core.compile_model(core.read_model(bundle.onnx), "CPU", settings).create_infer_request()
        except Exception as error:
            raise WeightsError(f"{bundle.source}: OpenVINO does not take the network ({short(error)})") from None
        self._one_at_a_time = threading.Lock()  # a request serves one thread
        self.name = f"OpenVINO {openvino.__version__.split('-')[0]} on the CPU"

    def __call__(self, images: FloatArray) -> FloatArray:
        with self._one_at_a_time:
            out: FloatArray = self._request.infer([images], share_inputs=True)[0].copy()
        return out


RUNTIMES: dict[str, Callable[[Bundle, int, str], Runtime]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
DEVICES = ("auto", "cpu", "cuda")


def open_runtime(
    bundle: Bundle, runtime: str = "onnxruntime", threads: int | None = None, device: str = "auto"
) -> Runtime:
    """Loads the network. threads: None, one a core.

    Raises ConfigError for an unknown runtime or device, MissingExtra where OpenVINO is not installed, WeightsError
    where the runtime does not take the network.
    """
    if runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    if device not in DEVICES:
        raise unknown_name("device", device, DEVICES)
    return RUNTIMES[runtime](bundle, threads or available_cores(), device)


def short(error: Exception, most: int = 300) -> str:
    """The end of what a runtime says: places in its own code stand first."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"... {text[-most:]}"
