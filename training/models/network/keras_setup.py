"""Import Keras on TensorFlow quietly, repeatably, and with a helpful word where it is not installed."""

import ctypes
import os
from typing import Any

from training.models import LEAVE_OUT
from training.required_packages import not_installed

__all__ = ["PACKAGES", "quiet_keras"]

PACKAGES = ("keras", "tensorflow", "tf2onnx")
"""What a fit imports: the last is for the export, and better told before an hour of training than after."""

_M_ARENA_MAX = -8  # of glibc's malloc.h


def quiet_keras(member: str, seed: int) -> Any:
    """Return Keras, seeded, with everything that follows repeatable.

    Raises:
        InputError: TensorFlow or Keras is not installed; the message has the command.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels add up in another order on another processor
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    _share_heaps()
    try:
        import keras
        import tensorflow as tf
        import tf2onnx  # noqa: F401  the export needs it
    except ModuleNotFoundError as error:
        raise not_installed(f"Member {member!r}", str(error.name), LEAVE_OUT) from error
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed % 2**32)
    return keras


def _share_heaps() -> None:
    """Let threads share as many heaps as there are cores.

    glibc gives nearly every thread one of its own, and those of TensorFlow's threads are half empty: a hundred
    megabytes. Where the allocator is another one, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, os.cpu_count() or 1)
