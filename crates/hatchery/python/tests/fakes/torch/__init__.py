"""As much of torch as the runtime asks for, over NumPy. A device is a folder, named by FAKE_CUDA; its memory are files there."""

import mmap
import os

import numpy

_FOLDER = os.environ.get("FAKE_CUDA")


class dtype:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"


float32, float64, int32, int64, uint8, bool, float16 = map(
    dtype, ("float32", "float64", "int32", "int64", "uint8", "bool", "float16")
)
bfloat16 = dtype("bfloat16")


class cuda:
    @staticmethod
    def is_available():
        return _FOLDER is not None


class UntypedStorage:
    def __init__(self, memory, name=None):
        self.memory, self.name = memory, name

    def _share_cuda_(self):
        open(os.path.join(_FOLDER, self.name + ".counter"), "w").write("1")
        return 0, self.name.encode(), len(self.memory), 0, self.name.encode() + b".counter", 0, b"event", False

    @staticmethod
    def _new_shared_cuda(device, handle, size, offset, counter, counter_offset, event, event_needed):
        path = os.path.join(_FOLDER, handle.decode())
        if not os.path.exists(path):
            raise RuntimeError("CUDA error: invalid device context")
        with open(path, "r+b") as file:
            return UntypedStorage(mmap.mmap(file.fileno(), size), handle.decode())

    def _release_ipc_counter_cuda(self, counter, counter_offset):
        os.remove(os.path.join(_FOLDER, counter.decode()))


class Tensor:
    def __init__(self, array, kind, device="cpu", storage=None):
        self.array, self.dtype, self.device, self._storage = array, kind, device, storage
        self.requires_grad = self.conjugated = False

    shape = property(lambda self: self.array.shape)
    is_cuda = property(lambda self: self.device != "cpu")

    def detach(self):
        made = Tensor(self.array, self.dtype, self.device, self._storage)
        made.conjugated = self.conjugated
        return made

    def resolve_conj(self):
        return Tensor(self.array.conj().copy(), self.dtype) if self.conjugated else self

    def resolve_neg(self):
        return self

    def contiguous(self):
        return Tensor(numpy.ascontiguousarray(self.array), self.dtype)

    def cpu(self):
        return Tensor(self.array.copy(), self.dtype)

    def cuda(self):
        name = "memory-" + os.urandom(4).hex()
        with open(os.path.join(_FOLDER, name), "w+b") as file:
            file.truncate(self.array.nbytes)
            storage = UntypedStorage(mmap.mmap(file.fileno(), self.array.nbytes), name)
        array = numpy.frombuffer(storage.memory, self.array.dtype).reshape(self.array.shape)
        array[...] = self.array
        return Tensor(array, self.dtype, "cuda:0", storage)

    def __dlpack_device__(self):
        return (2, 0) if self.is_cuda else (1, 0)

    def __dlpack__(self):
        if self.requires_grad or self.conjugated:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.array.__dlpack__()

    def reshape(self, *shape):
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        return Tensor(self.array.reshape(shape), self.dtype, self.device, self._storage)

    def untyped_storage(self):
        return self._storage

    def storage_offset(self):
        return 0

    def stride(self):
        return tuple(step // self.array.itemsize for step in self.array.strides)

    def element_size(self):
        return self.array.itemsize

    def set_(self, storage, start, shape, stride):
        kind, size = self.array.dtype, self.array.itemsize
        array = numpy.ndarray(shape, kind, storage.memory, start * size, tuple(step * size for step in stride))
        return Tensor(array, self.dtype, self.device, storage)

    def sum(self):
        return Tensor(self.array.sum(), self.dtype)

    def item(self):
        return self.array.item()

    def tolist(self):
        return self.array.tolist()

    def __imul__(self, factor):
        self.array *= factor
        return self


def frombuffer(buffer, dtype):
    if memoryview(buffer).readonly:
        raise AssertionError("torch warns of a buffer that is not writable, and the process ends at the first write")
    return Tensor(numpy.frombuffer(buffer, dtype.name), dtype)


def empty(shape, dtype=float32, device="cpu"):
    return Tensor(numpy.empty(shape, dtype.name), dtype, device)


def tensor(values, dtype=None):
    array = numpy.array(values)
    return Tensor(array, dtype or globals()[array.dtype.name])
