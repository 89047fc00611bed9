# distutils: libraries = dl
"""MACs over the system's libcrypto.so.3, found when first asked for: nothing is linked and no header is needed.

What a key costs is paid once: the two blocks that begin its HMAC. The hashes are called by their old functions, which
write into a state of ours: those of EVP, which hashlib uses, take longer to begin a MAC than the MAC of a STUN message
takes. Where they are missing, so is this. `icelane.crypto.provider` has the same in Python.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlerror, dlopen, dlsym

from icelane.errors import NotSupportedError

LIBRARY = "libcrypto.so.3"

cdef enum:
    BLOCK = 64
    # SHA_CTX has 96 bytes in the ABI of OpenSSL 3, SHA256_CTX 112.
    STATE = 128
    MAX_DIGEST = 32
    # For how many keys the two states are kept that begin a MAC, of either hash. At the bound the oldest goes.
    MAX_KEYS = 1024
    MAX_TOKEN = 96

ctypedef unsigned char Byte

cdef struct Hash:
    Py_ssize_t size
    int (*begin)(void *) noexcept nogil
    int (*update)(void *, const void *, size_t) noexcept nogil
    int (*finish)(Byte *, void *) noexcept nogil

cdef Hash SHA1
cdef Hash SHA256
cdef int (*CRYPTO_memcmp)(const void *, const void *, size_t) noexcept nogil
cdef void (*OPENSSL_cleanse)(void *, size_t) noexcept nogil
cdef void *library = NULL
cdef bint loaded = False
cdef dict sha1_begun = {}
cdef dict sha256_begun = {}
cdef const char *BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


cdef int _bind(const char *name, void **place) except -1:
    place[0] = dlsym(library, name)
    if place[0] == NULL:
        raise NotSupportedError(f"{LIBRARY} has no {name.decode()}")
    return 0


def load() -> None:
    """Find the library, once. Raises NotSupportedError when it is not here or not OpenSSL 3."""
    global library, loaded
    cdef unsigned long (*version)() noexcept nogil
    if loaded:
        return
    library = dlopen(LIBRARY.encode(), RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        raise NotSupportedError((<bytes>dlerror()).decode(errors="replace"))
    _bind("OpenSSL_version_num", <void **>&version)
    if version() >> 28 != 3:
        raise NotSupportedError(f"{LIBRARY} is not OpenSSL 3")
    SHA1.size = 20
    _bind("SHA1_Init", <void **>&SHA1.begin)
    _bind("SHA1_Update", <void **>&SHA1.update)
    _bind("SHA1_Final", <void **>&SHA1.finish)
    SHA256.size = 32
    _bind("SHA256_Init", <void **>&SHA256.begin)
    _bind("SHA256_Update", <void **>&SHA256.update)
    _bind("SHA256_Final", <void **>&SHA256.finish)
    _bind("CRYPTO_memcmp", <void **>&CRYPTO_memcmp)
    _bind("OPENSSL_cleanse", <void **>&OPENSSL_cleanse)
    loaded = True  # last: only now is everything there


cdef class _Begun:
    """The two hashes of one key, each after its first block."""

    cdef Byte inner[STATE]
    cdef Byte outer[STATE]

    def __dealloc__(self):
        OPENSSL_cleanse(self.inner, STATE)
        OPENSSL_cleanse(self.outer, STATE)


cdef _Begun _begin(Hash *hash, bytes key):
    cdef Byte block[BLOCK]
    cdef Byte state[STATE]
    cdef _Begun begun = _Begun.__new__(_Begun)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key)
    cdef int index
    memset(block, 0, BLOCK)
    if size > BLOCK:
        hash.begin(state)
        hash.update(state, PyBytes_AS_STRING(key), size)
        hash.finish(block, state)
    else:
        memcpy(block, PyBytes_AS_STRING(key), size)
    for index in range(BLOCK):
        block[index] ^= 0x36
    hash.begin(begun.inner)
    hash.update(begun.inner, block, BLOCK)
    for index in range(BLOCK):
        block[index] ^= 0x36 ^ 0x5C
    hash.begin(begun.outer)
    hash.update(begun.outer, block, BLOCK)
    OPENSSL_cleanse(block, BLOCK)
    return begun


cdef int _mac(Hash *hash, dict known, bytes key, const Byte *data, Py_ssize_t size, Byte *out) except -1:
    cdef Byte state[STATE]
    cdef _Begun begun
    found = known.get(key)
    if found is None:
        begun = _begin(hash, key)
        if len(known) >= MAX_KEYS:
            del known[next(iter(known))]
        known[key] = begun
    else:
        begun = <_Begun>found
    memcpy(state, begun.inner, STATE)
    hash.update(state, data, size)
    hash.finish(out, state)
    memcpy(state, begun.outer, STATE)
    hash.update(state, out, hash.size)
    hash.finish(out, state)
    return 0


cdef bytes _mac_of(Hash *hash, dict known, bytes key, data):
    cdef Byte out[MAX_DIGEST]
    cdef Py_buffer view
    if type(data) is bytes:
        _mac(hash, known, key, <const Byte *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out)
    else:
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            _mac(hash, known, key, <const Byte *>view.buf, view.len, out)
        finally:
            PyBuffer_Release(&view)
    return PyBytes_FromStringAndSize(<const char *>out, hash.size)


cdef int _known() except -1:
    if not loaded:
        raise NotSupportedError(f"{LIBRARY} has not been loaded")
    return 0


def hmac_sha1(bytes key not None, data):
    """HMAC-SHA1, 20 bytes (RFC 2104)."""
    _known()
    return _mac_of(&SHA1, sha1_begun, key, data)


def hmac_sha256(bytes key not None, data):
    """HMAC-SHA256, 32 bytes (RFC 2104)."""
    _known()
    return _mac_of(&SHA256, sha256_begun, key, data)


def sealed_text(bytes key not None, bytes head not None, bytes bound not None, Py_ssize_t size):
    """`head` and the first `size` bytes of the HMAC-SHA256 of `head` and `bound`, in base64 of URLs without padding."""
    cdef Byte plain[MAX_TOKEN + 3]
    cdef Byte out[MAX_DIGEST]
    cdef char text[2 * MAX_TOKEN]
    cdef Py_ssize_t begins = PyBytes_GET_SIZE(head)
    cdef Py_ssize_t total = begins + size
    cdef Py_ssize_t index = 0, written = 0
    cdef unsigned int bits
    _known()
    if not 0 <= size <= MAX_DIGEST or total > MAX_TOKEN or begins + PyBytes_GET_SIZE(bound) > MAX_TOKEN:
        raise ValueError("too long to be sealed")
    memcpy(plain, PyBytes_AS_STRING(head), begins)
    memcpy(plain + begins, PyBytes_AS_STRING(bound), PyBytes_GET_SIZE(bound))
    _mac(&SHA256, sha256_begun, key, plain, begins + PyBytes_GET_SIZE(bound), out)
    memcpy(plain + begins, out, size)
    memset(plain + total, 0, 3)
    while index < total:
        bits = <unsigned int>plain[index] << 16 | <unsigned int>plain[index + 1] << 8 | plain[index + 2]
        text[written] = BASE64[bits >> 18]
        text[written + 1] = BASE64[bits >> 12 & 63]
        text[written + 2] = BASE64[bits >> 6 & 63]
        text[written + 3] = BASE64[bits & 63]
        written += 4
        index += 3
    return PyBytes_FromStringAndSize(text, (total * 4 + 2) // 3)


def equal(bytes a not None, bytes b not None):
    """Whether both are the same, in a time that does not tell where they differ."""
    _known()
    if PyBytes_GET_SIZE(a) != PyBytes_GET_SIZE(b):
        return False
    return CRYPTO_memcmp(PyBytes_AS_STRING(a), PyBytes_AS_STRING(b), PyBytes_GET_SIZE(a)) == 0
