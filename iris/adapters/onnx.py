"""ONNX Runtime sessions: the provider asked for and the one got, one thread, no spinning.

The library is imported here only, and only when a session is opened: it costs 20 MB, the model 140 MB more.
What a provider list promises is not believed: the session is asked after it was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from iris.base.errors import InferenceError
from iris.domain.frame import Float32Array

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"


class OnnxSession:
    """One network in this process; used by one thread.

    Args:
        path: The model file.
        device: `cuda` (the CPU where CUDA is not to be had, which `sentence` then says) or `cpu`.

    Raises:
        InferenceError: The file is missing, damaged, or cannot be run.
    """

    def __init__(self, path: Path, *, device: str) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise InferenceError(f"ONNX Runtime cannot be loaded: {_first_line(error)}") from error
        providers: list[Any] = [CPU_PROVIDER]
        cuda_built_in = CUDA_PROVIDER in ort.get_available_providers()
        if device == "cuda" and cuda_built_in:
            providers.insert(0, (CUDA_PROVIDER, {"arena_extend_strategy": "kSameAsRequested"}))
        options = ort.SessionOptions()
        # A pool that spins between two pictures took 66 % of a core where one thread takes 31 %.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors; a missing CUDA library is said by `sentence`
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # the library raises a class of its own for every kind of damage
            raise InferenceError(f"the model {path.name} cannot be loaded: {_first_line(error)}") from error
        # Else a CUDA fault would make a new session on the CPU, without a word.
        self._session.disable_fallback()
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        self.device = "cuda" if CUDA_PROVIDER in self.providers else "cpu"
        self.sentence = _provider_sentence(device, self.device, cuda_built_in=cuda_built_in)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise InferenceError(f"the model {path.name} has {len(inputs)} inputs, expected one picture")
        self._input_name: str = inputs[0].name
        self._half = inputs[0].type == "tensor(float16)"
        self._output_names: list[str] = [output.name for output in outputs]
        # A dimension that the file leaves open is a name or None.
        self.input_shape: tuple[int | None, ...] = tuple(
            size if isinstance(size, int) else None for size in inputs[0].shape
        )
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, tensor: Float32Array) -> list[Float32Array]:
        """Run the network.

        Args:
            tensor: The input, float32 (converted where the file asks for float16).

        Returns:
            The outputs in the order of the file, as float32.

        Raises:
            InferenceError: It failed (a CUDA fault, a wrong shape).
        """
        value = tensor.astype(np.float16) if self._half else tensor
        try:
            outputs = self._session.run(self._output_names, {self._input_name: value})
        except Exception as error:  # the library raises a class of its own for every kind of fault
            raise InferenceError(f"the network failed on {self.device}: {_first_line(error)}") from error
        return [np.asarray(output, np.float32) for output in outputs]


def _provider_sentence(asked: str, got: str, *, cuda_built_in: bool) -> str:
    if asked != "cuda" or got == "cuda":
        return ""
    if cuda_built_in:
        return "the detector runs on the CPU: ONNX Runtime could not start CUDA (driver, CUDA or cuDNN libraries)"
    return (
        "the detector runs on the CPU: this ONNX Runtime has no CUDA "
        "(install onnxruntime-gpu, or set DETECTOR_DEVICE=cpu)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
