# The types of the compiled form.

cimport cython

from icelane.media.arrival_delay cimport ArrivalDelay
from icelane.media.payload.packetizer cimport Fragment
from icelane.rtp.packet cimport RtpPacket


cdef class BufferedFrame:
    cdef public long long timestamp
    cdef public list packets
    cdef public list fragments
    cdef public bint is_key
    cdef public bint follows_gap
    cdef public double first_at
    cdef public double completed_at
    cdef public double play_at


cdef class Assembly:
    cdef public long long timestamp
    cdef public dict pieces
    cdef public long long lowest
    cdef public long long highest
    cdef public bint is_key
    cdef public bint ends
    cdef public Py_ssize_t size
    cdef public double first_at

    cpdef add(self, long long number, RtpPacket packet, Fragment fragment)


cdef class FrameBuffer:
    cdef public Py_ssize_t frames_dropped
    cdef public double minimum_delay
    cdef public double maximum_delay
    cdef public double synchronization_delay
    cdef public double patience
    cdef public bint payload_tells_beginning
    cdef public bint wants_key_frame
    cdef ArrivalDelay _delay
    cdef dict _by_number
    cdef dict _by_timestamp
    cdef object _held
    cdef Py_ssize_t _size
    cdef long long _highest
    cdef long long _next
    cdef long long _first
    cdef long long _passed
    cdef bint _follows_gap
    cdef double _blocked_since
    cdef double _looked_at
    cdef object _layer_zero_index
    cdef double _last_play_at

    @cython.locals(assembly=Assembly)
    cpdef bint insert(self, long long number, long long timestamp, RtpPacket packet, Fragment fragment,
                      double now) except -1

    cpdef skip(self, long long number, double now)
    cpdef handle_timeout(self, double now)

    @cython.locals(assembly=Assembly)
    cpdef give_up(self, double now)

    @cython.locals(frame=BufferedFrame)
    cpdef BufferedFrame take(self, double now)

    cpdef bint lacks_key_frame(self, double now) except -1

    @cython.locals(latest=double, assembly=Assembly)
    cpdef double _key_frame_overdue_at(self) except? -1

    @cython.locals(known=bint)
    cpdef double _patience_for(self, Assembly key) except? -1

    cpdef double expected(self, long long timestamp) except? -1

    @cython.locals(needed=double)
    cpdef double delay(self, double now) except? -1

    @cython.locals(assembly=Assembly)
    cdef _release(self, long long number, double now)

    @cython.locals(neighbour="long long", assembly=Assembly)
    cdef _release_key_frame(self, long long number, double now)

    cdef _go_on_at(self, Assembly assembly, double now)

    @cython.locals(lowest="long long", highest="long long")
    cdef bint _is_complete(self, Assembly assembly) except -1

    cdef bint _begins(self, long long number, Fragment fragment) except -1

    @cython.locals(packets=list, fragments=list, number="long long", frame=BufferedFrame)
    cdef _emit(self, Assembly assembly, double now)

    @cython.locals(delay=double)
    cdef double _play_at(self, long long timestamp, double now) except? -1

    cdef _learn_layers(self, Fragment first)
    cdef _notice_block(self, double now)

    @cython.locals(first=Assembly)
    cdef double _due_at(self) except? -1

    cdef _keep_bounds(self)
    cdef _drop(self, Assembly assembly)
    cdef _remove(self, Assembly assembly)
