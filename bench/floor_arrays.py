"""The least that a worker can do with a large array: a memory file that both sides have mapped, one byte when it is its turn.

`floor_arrays.py PATH`: the file. Descriptor 0 brings orders: `t`, sum what is there; `f`, put an array there. Each is answered
with a float64 on descriptor 1.
"""

import mmap
import os
import struct
import sys

import numpy


def main():
    file = os.open(sys.argv[1], os.O_RDWR)
    array = numpy.frombuffer(mmap.mmap(file, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE), numpy.float32)
    while order := os.read(0, 1):
        if order == b"t":
            os.write(1, struct.pack("<d", float(array.sum())))
        else:
            numpy.copyto(array, 1.0)
            os.write(1, struct.pack("<d", 0.0))


main()
