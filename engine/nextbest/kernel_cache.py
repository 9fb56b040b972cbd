"""Tells numba when a cached kernel is out of date: also when only what it calls or reads has changed.

numba asks for nothing but the file a kernel is written in, although the machine code holds every kernel it
calls and every global it reads, from whatever file: after an edit elsewhere it would run the old ones.
"""

import enum
import zlib
from types import CodeType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba.core.caching import IndexDataCacheFile

_PLAIN = (bool, int, float, str, tuple, np.generic)


class _Index(IndexDataCacheFile):
    """A cache index whose stamp is that of all the sources its machine code was made from."""

    dispatcher: Any
    own_stamp: object

    @property
    def _source_stamp(self) -> object:
        kernels: dict[str, object] = {}
        _collect(self.dispatcher, kernels)
        return sorted(kernels.items())


def stamp_with_callees(dispatcher: object) -> None:
    """Let a dispatcher's cache depend on the sources of every kernel it reaches, and on their globals.

    They are looked up when the cache is first asked, when all modules are loaded.
    """
    cache = getattr(cast("Any", dispatcher), "_cache", None)
    index = getattr(cache, "_cache_file", None)
    if index is not None:
        index.own_stamp = index.__dict__.pop("_source_stamp")
        index.dispatcher = dispatcher
        index.__class__ = _Index


def _collect(dispatcher: Any, kernels: dict[str, object]) -> None:
    function = dispatcher.py_func
    name = f"{function.__module__}.{function.__qualname__}"
    if name in kernels:
        return
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    constants: dict[str, str] = {}
    kernels[name] = (getattr(index, "own_stamp", None), constants)
    for used in sorted(_names(function.__code__)):
        value = function.__globals__.get(used)
        if hasattr(value, "py_func"):
            _collect(value, kernels)
        elif (text := _constant(value)) is not None:
            constants[used] = text


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _constant(value: object) -> str | None:
    if isinstance(value, np.ndarray):
        array = cast("npt.NDArray[np.generic]", value)
        return f"{array.dtype} {array.shape} {zlib.crc32(array.tobytes())}"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return repr(list(value))
    return repr(cast("object", value)) if isinstance(value, _PLAIN) else None
