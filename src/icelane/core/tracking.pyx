"""See garbage.py, which has the same in Python."""

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *) noexcept
    int PyObject_IS_GC(object) noexcept


def untracked(value):
    """`value`, which the garbage collector does not visit any more: for what can never be part of a cycle."""
    if PyObject_IS_GC(value):
        PyObject_GC_UnTrack(<void *>value)
    return value
