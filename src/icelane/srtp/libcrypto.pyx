# distutils: libraries = dl
"""SRTP over the system's libcrypto.so.3, found when first asked for: nothing is linked and no header is needed.

A packet is one call from its header to its tag: the walk through the header, the index, the nonce, the cipher, and the
comparison in constant time. What a key costs is paid once: the schedule of AES, the tables of GCM, and the two blocks
that begin an HMAC. It behaves as `icelane.srtp.python` does, which is easier to read.

SHA-1 is called by its old functions, which write into a state of ours: those of EVP take longer to begin a MAC than a
MAC of 200 bytes takes. Where they are missing, so is this.

Longer than modules should be: what a packet passes through is one unit of C, so that none of it is a call of Python's.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlerror, dlopen, dlsym

from icelane.rtp.packet cimport RtpPacket, encode_header, put_payload, read_extension, serialize

from icelane.errors import (
    AuthenticationError,
    InvalidAccessError,
    InvalidStateError,
    MalformedError,
    NotSupportedError,
    OperationError,
    ReplayError,
)
from icelane.srtp.limits import MAX_LOCAL_STREAMS, MAX_REMOTE_STREAMS

LIBRARY = "libcrypto.so.3"

cdef enum:
    # As in limits.py and replay.py, where it says why.
    MAX_PACKET = 65535
    MAX_RTCP_INDEX = 0x7FFFFFFF
    WINDOW = 1024
    WORDS = 16
    RTP_HEADER = 12
    LONGEST_SIMPLE_HEADER = 128
    ONE_BYTE_PROFILE = 0xBEDE
    RTCP_HEADER = 8
    TRAILER = 4
    GCM_TAG = 16
    HMAC_TAG = 10
    HMAC_BLOCK = 64
    SHA1_SIZE = 20
    # SHA_CTX has 96 bytes in the ABI of OpenSSL 3.
    SHA1_STATE = 256
    BUCKETS = 256
    NOWHERE = -1

# Macros of evp.h, which are constants of the ABI of OpenSSL 3.
cdef enum:
    EVP_CTRL_AEAD_GET_TAG = 0x10
    EVP_CTRL_AEAD_SET_TAG = 0x11

cdef enum Outcome:
    GOOD = 0
    MALFORMED = 1
    REPLAYED = 2
    FORGED = 3
    UNENCRYPTED = 4
    TOO_MANY = 5
    USED_UP = 6
    FAILED = 7

ctypedef unsigned char Byte

cdef void *library = NULL
cdef bint loaded = False

# By their names in the library; `load` fills them in.
cdef unsigned long (*OpenSSL_version_num)() noexcept nogil
cdef const char *(*OpenSSL_version)(int) noexcept nogil
cdef const void *(*EVP_aes_128_gcm)() noexcept nogil
cdef const void *(*EVP_aes_256_gcm)() noexcept nogil
cdef const void *(*EVP_aes_128_ctr)() noexcept nogil
cdef void *(*EVP_CIPHER_CTX_new)() noexcept nogil
cdef void (*EVP_CIPHER_CTX_free)(void *) noexcept nogil
cdef int (*EVP_CIPHER_CTX_ctrl)(void *, int, int, void *) noexcept nogil
cdef int (*EVP_CipherInit_ex)(void *, const void *, void *, const Byte *, const Byte *, int) noexcept nogil
cdef int (*EVP_CipherUpdate)(void *, Byte *, int *, const Byte *, int) noexcept nogil
cdef int (*EVP_CipherFinal_ex)(void *, Byte *, int *) noexcept nogil
cdef int (*SHA1_Init)(void *) noexcept nogil
cdef int (*SHA1_Update)(void *, const void *, size_t) noexcept nogil
cdef int (*SHA1_Final)(Byte *, void *) noexcept nogil
cdef int (*CRYPTO_memcmp)(const void *, const void *, size_t) noexcept nogil
cdef void (*OPENSSL_cleanse)(void *, size_t) noexcept nogil
cdef void (*ERR_clear_error)() noexcept nogil


cdef int _bind(const char *name, void **place) except -1:
    place[0] = dlsym(library, name)
    if place[0] == NULL:
        raise NotSupportedError(f"{LIBRARY} has no {name.decode()}")
    return 0


def load() -> str:
    """Find the library, once, and return its version. Raises NotSupportedError when it is not here or not OpenSSL 3."""
    global library, loaded
    if loaded:
        return OpenSSL_version(0).decode()
    library = dlopen(LIBRARY.encode(), RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        raise NotSupportedError((<bytes>dlerror()).decode(errors="replace"))
    _bind("OpenSSL_version_num", <void **>&OpenSSL_version_num)
    _bind("OpenSSL_version", <void **>&OpenSSL_version)
    if OpenSSL_version_num() >> 28 != 3:
        raise NotSupportedError(f"{LIBRARY} is {OpenSSL_version(0).decode()}")
    _bind("EVP_aes_128_gcm", <void **>&EVP_aes_128_gcm)
    _bind("EVP_aes_256_gcm", <void **>&EVP_aes_256_gcm)
    _bind("EVP_aes_128_ctr", <void **>&EVP_aes_128_ctr)
    _bind("EVP_CIPHER_CTX_new", <void **>&EVP_CIPHER_CTX_new)
    _bind("EVP_CIPHER_CTX_free", <void **>&EVP_CIPHER_CTX_free)
    _bind("EVP_CIPHER_CTX_ctrl", <void **>&EVP_CIPHER_CTX_ctrl)
    _bind("EVP_CipherInit_ex", <void **>&EVP_CipherInit_ex)
    _bind("EVP_CipherUpdate", <void **>&EVP_CipherUpdate)
    _bind("EVP_CipherFinal_ex", <void **>&EVP_CipherFinal_ex)
    _bind("SHA1_Init", <void **>&SHA1_Init)
    _bind("SHA1_Update", <void **>&SHA1_Update)
    _bind("SHA1_Final", <void **>&SHA1_Final)
    _bind("CRYPTO_memcmp", <void **>&CRYPTO_memcmp)
    _bind("OPENSSL_cleanse", <void **>&OPENSSL_cleanse)
    _bind("ERR_clear_error", <void **>&ERR_clear_error)
    loaded = True  # last: only now is everything there
    return OpenSSL_version(0).decode()


# Fields of packets


cdef inline uint32_t _uint32(const Byte *data) noexcept nogil:
    return <uint32_t>data[0] << 24 | <uint32_t>data[1] << 16 | <uint32_t>data[2] << 8 | data[3]


cdef inline void _put_uint32(Byte *place, uint32_t number) noexcept nogil:
    place[0] = number >> 24
    place[1] = number >> 16 & 0xFF
    place[2] = number >> 8 & 0xFF
    place[3] = number & 0xFF


cdef inline bint _is_rtcp(const Byte *data, Py_ssize_t size) noexcept nogil:
    return size >= 2 and 192 <= data[1] <= 223


cdef int _rtp_header_size(const Byte *data, Py_ssize_t size, int behind) noexcept nogil:
    """Of an RTP packet, with `behind` bytes at its end that are not RTP's; 0: it is none."""
    cdef Py_ssize_t room = size - behind
    cdef Py_ssize_t header
    if room < RTP_HEADER or size > MAX_PACKET or data[0] >> 6 != 2:
        return 0
    header = RTP_HEADER + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        header += 4
        if header > room:
            return 0
        header += 4 * (data[header - 2] << 8 | data[header - 1])
    return <int>header if header <= room else 0


# Which packets came already


cdef struct Stream:
    uint32_t ssrc
    int32_t next  # in the same bucket
    uint64_t highest
    uint64_t heard  # greater: later
    uint64_t seen[WORDS]  # bit n: the packet whose index is n modulo WINDOW


cdef uint64_t _estimate_index(const Stream *stream, uint32_t sequence_number) noexcept nogil:
    cdef uint64_t rollover
    cdef uint32_t last
    if stream == NULL:
        return sequence_number
    rollover = stream.highest >> 16
    last = stream.highest & 0xFFFF
    if last < 0x8000:
        if sequence_number > last + 0x8000 and rollover > 0:
            rollover -= 1
    elif last - 0x8000 > sequence_number:
        rollover = rollover + 1 & <uint64_t>0xFFFFFFFF
    return rollover << 16 | sequence_number


cdef bint _is_replay(const Stream *stream, uint64_t index) noexcept nogil:
    if index > stream.highest:
        return False
    if stream.highest - index >= WINDOW:
        return True
    return stream.seen[index % WINDOW >> 6] >> (index & 63) & 1


cdef void _remember(Stream *stream, uint64_t index) noexcept nogil:
    cdef uint64_t number
    if index > stream.highest:
        if index - stream.highest >= WINDOW:
            memset(stream.seen, 0, sizeof(stream.seen))
        else:
            for number in range(stream.highest + 1, index):
                stream.seen[number % WINDOW >> 6] &= ~(<uint64_t>1 << (number & 63))
        stream.highest = index
    stream.seen[index % WINDOW >> 6] |= <uint64_t>1 << (index & 63)


cdef class Streams:
    """The streams of one kind in one direction. Where `forgets`, the one heard longest ago makes room at the limit."""

    cdef Stream *slots
    cdef int count
    cdef int capacity
    cdef int limit
    cdef bint forgets
    cdef int newest
    cdef uint64_t clock
    cdef int32_t buckets[BUCKETS]

    def __cinit__(self, int limit, bint forgets):
        self.limit = limit
        self.forgets = forgets
        self.newest = NOWHERE
        for bucket in range(BUCKETS):
            self.buckets[bucket] = NOWHERE

    def __dealloc__(self):
        free(self.slots)

    cdef inline Stream *find(self, uint32_t ssrc) noexcept nogil:
        cdef int32_t place
        if self.newest != NOWHERE and self.slots[self.newest].ssrc == ssrc:
            return &self.slots[self.newest]
        place = self.buckets[_bucket_of(ssrc)]
        while place != NOWHERE:
            if self.slots[place].ssrc == ssrc:
                return &self.slots[place]
            place = self.slots[place].next
        return NULL

    cdef Outcome hear(self, Stream *stream, uint32_t ssrc, uint64_t index) noexcept nogil:
        """Remember an authentic packet, of a stream that was found or (NULL) of a new one."""
        cdef int place
        if stream == NULL:
            place = self.room()
            if place < 0:
                return TOO_MANY if place == NOWHERE else FAILED
            stream = &self.slots[place]
            memset(stream, 0, sizeof(Stream))
            stream.ssrc = ssrc
            stream.highest = index
            stream.next = self.buckets[_bucket_of(ssrc)]
            self.buckets[_bucket_of(ssrc)] = place
        self.newest = <int>(stream - self.slots)
        self.clock += 1
        stream.heard = self.clock
        _remember(stream, index)
        return GOOD

    cdef int room(self) noexcept nogil:
        """A place for a new stream; NOWHERE at the limit, less than that when there is no memory."""
        cdef Stream *larger
        if self.count == self.limit:
            return self.forget() if self.forgets else NOWHERE
        if self.count == self.capacity:
            larger = <Stream *>realloc(self.slots, (2 * self.capacity + 4) * sizeof(Stream))
            if larger == NULL:
                return NOWHERE - 1
            self.slots = larger
            self.capacity = 2 * self.capacity + 4
        self.count += 1
        return self.count - 1

    cdef int forget(self) noexcept nogil:
        cdef int oldest = 0
        cdef int place
        cdef int32_t *link
        for place in range(1, self.count):
            if self.slots[place].heard < self.slots[oldest].heard:
                oldest = place
        link = &self.buckets[_bucket_of(self.slots[oldest].ssrc)]
        while link[0] != oldest:
            link = &self.slots[link[0]].next
        link[0] = self.slots[oldest].next
        self.newest = NOWHERE
        return oldest


cdef inline int _bucket_of(uint32_t ssrc) noexcept nogil:
    return <int>(ssrc * <uint32_t>0x9E3779B1 >> 24)


# Ciphers and MACs


cdef class Transform:
    """The keys of RTP or of RTCP in one direction, expanded."""

    cdef void *cipher
    cdef bint aead
    cdef bint sealing
    cdef int tag_size
    cdef Byte salt[16]
    cdef Byte inner[SHA1_STATE]
    cdef Byte outer[SHA1_STATE]

    def __cinit__(self, tuple keys not None, bint aead, bint sealing):
        cdef bytes encryption, authentication, salt
        encryption, authentication, salt = keys
        load()
        self.aead = aead
        self.sealing = sealing
        self.tag_size = GCM_TAG if aead else HMAC_TAG
        if (
            not (len(encryption) == 16 or (aead and len(encryption) == 32))
            or len(authentication) != (0 if aead else SHA1_SIZE)
            or len(salt) != (12 if aead else 14)
        ):
            raise InvalidAccessError("a key of the wrong size")
        memset(self.salt, 0, sizeof(self.salt))
        memcpy(self.salt, PyBytes_AS_STRING(salt), PyBytes_GET_SIZE(salt))
        self.cipher = EVP_CIPHER_CTX_new()
        if self.cipher == NULL:
            raise MemoryError
        if EVP_CipherInit_ex(
            self.cipher,
            (EVP_aes_256_gcm() if len(encryption) == 32 else EVP_aes_128_gcm()) if aead else EVP_aes_128_ctr(),
            NULL,
            <const Byte *>PyBytes_AS_STRING(encryption),
            NULL,
            sealing,
        ) != 1:
            ERR_clear_error()
            raise OperationError(f"{LIBRARY} takes no key")
        if not aead:
            self.begin_mac(self.inner, 0x36, <const Byte *>PyBytes_AS_STRING(authentication))
            self.begin_mac(self.outer, 0x5C, <const Byte *>PyBytes_AS_STRING(authentication))

    def __dealloc__(self):
        if self.cipher != NULL:
            EVP_CIPHER_CTX_free(self.cipher)
            OPENSSL_cleanse(self.inner, SHA1_STATE)
            OPENSSL_cleanse(self.outer, SHA1_STATE)

    cdef void begin_mac(self, Byte *state, Byte pad, const Byte *key) noexcept:
        cdef Byte block[HMAC_BLOCK]
        cdef int position
        memset(block, pad, HMAC_BLOCK)
        for position in range(SHA1_SIZE):
            block[position] ^= key[position]
        SHA1_Init(state)
        SHA1_Update(state, block, HMAC_BLOCK)
        OPENSSL_cleanse(block, HMAC_BLOCK)

    cdef void mac(self, Byte *digest, const Byte *data, size_t size, const Byte *behind, size_t more) noexcept nogil:
        cdef Byte state[SHA1_STATE]
        memcpy(state, self.inner, SHA1_STATE)
        SHA1_Update(state, data, size)
        SHA1_Update(state, behind, more)
        SHA1_Final(digest, state)
        memcpy(state, self.outer, SHA1_STATE)
        SHA1_Update(state, digest, SHA1_SIZE)
        SHA1_Final(digest, state)

    cdef void nonce(self, Byte *nonce, uint32_t ssrc, uint64_t index) noexcept nogil:
        # GCM: two zeros, SSRC, index. Counter mode: four zeros, SSRC, index, and two bytes that count blocks.
        cdef int start = 2 if self.aead else 4
        cdef int position
        memcpy(nonce, self.salt, 16)
        for position in range(4):
            nonce[start + position] ^= ssrc >> (24 - 8 * position) & 0xFF
        for position in range(6):
            nonce[start + 4 + position] ^= index >> (40 - 8 * position) & 0xFF

    cdef int begin(self, uint32_t ssrc, uint64_t index) noexcept nogil:
        cdef Byte nonce[16]
        self.nonce(nonce, ssrc, index)
        return EVP_CipherInit_ex(self.cipher, NULL, NULL, NULL, nonce, -1)

    cdef Outcome crypt(self, Byte *out, const Byte *data, int size) noexcept nogil:
        cdef int written = 0
        # A size of 0 would mean the end to some ciphers.
        if size and EVP_CipherUpdate(self.cipher, out, &written, data, size) != 1:
            return FAILED
        return GOOD

    cdef Outcome associate(self, const Byte *data, int size) noexcept nogil:
        cdef int written = 0
        return GOOD if EVP_CipherUpdate(self.cipher, NULL, &written, data, size) == 1 else FAILED

    cdef Outcome seal(self, Byte *out, int header, const Byte *body, int size, uint32_t ssrc, uint64_t index,
                      bint rtcp) noexcept nogil:
        """Write the protected form of `size` bytes behind the header, which `out` begins with; of `body` the rest."""
        cdef Byte digest[SHA1_SIZE]
        cdef Byte trailer[TRAILER]
        cdef int written = 0
        _put_uint32(trailer, <uint32_t>index | <uint32_t>0x80000000 if rtcp else <uint32_t>(index >> 16))
        if self.begin(ssrc, index) != 1:
            return FAILED
        if self.aead:
            if self.associate(out, header) != GOOD or (rtcp and self.associate(trailer, TRAILER) != GOOD):
                return FAILED
            if self.crypt(out + header, body, size - header) != GOOD:
                return FAILED
            if EVP_CipherFinal_ex(self.cipher, digest, &written) != 1:
                return FAILED
            if EVP_CIPHER_CTX_ctrl(self.cipher, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out + size) != 1:
                return FAILED
            if rtcp:
                memcpy(out + size + GCM_TAG, trailer, TRAILER)
            return GOOD
        if self.crypt(out + header, body, size - header) != GOOD:
            return FAILED
        self.mac(digest, out, size, trailer, TRAILER)
        if rtcp:
            memcpy(out + size, trailer, TRAILER)
            size += TRAILER
        memcpy(out + size, digest, HMAC_TAG)
        return GOOD

    cdef Outcome open(self, Byte *body, const Byte *data, int header, int size, uint32_t ssrc, uint64_t index,
                      bint rtcp) noexcept nogil:
        """Write what was protected of `size` bytes, behind the header; it counts only when the outcome is GOOD."""
        cdef Byte digest[SHA1_SIZE]
        cdef Byte trailer[TRAILER]
        cdef int written = 0
        _put_uint32(trailer, <uint32_t>index | <uint32_t>0x80000000 if rtcp else <uint32_t>(index >> 16))
        if not self.aead:
            self.mac(digest, data, size, trailer, TRAILER)
            if CRYPTO_memcmp(digest, data + size + (TRAILER if rtcp else 0), HMAC_TAG) != 0:
                return FORGED
        if self.begin(ssrc, index) != 1:
            return FAILED
        if self.aead:
            if self.associate(data, header) != GOOD or (rtcp and self.associate(trailer, TRAILER) != GOOD):
                return FAILED
            memcpy(digest, data + size, GCM_TAG)
            if EVP_CIPHER_CTX_ctrl(self.cipher, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, digest) != 1:
                return FAILED
        if self.crypt(body, data + header, size - header) != GOOD:
            return FAILED
        if self.aead and EVP_CipherFinal_ex(self.cipher, digest, &written) != 1:
            return FORGED
        return GOOD


# Headers from fields, and fields from headers


cdef int _write_header(Byte *place, RtpPacket packet) except -1:
    """Write the header as `encode_header` does, and return its size; 0: it is one of a rare kind, left to that."""
    cdef list elements = packet.extensions
    cdef tuple element
    cdef bytes data
    cdef int identifier
    cdef Py_ssize_t size
    cdef int end = RTP_HEADER
    if packet.csrcs or not 0 <= packet.payload_type <= 127:
        return 0
    place[0] = 0x80
    place[1] = (0x80 if packet.marker else 0) | packet.payload_type
    place[2] = packet.sequence_number >> 8 & 0xFF
    place[3] = packet.sequence_number & 0xFF
    _put_uint32(place + 4, <uint32_t>packet.timestamp)
    _put_uint32(place + 8, <uint32_t>packet.ssrc)
    if not elements:
        return end
    if packet.extension_profile and packet.extension_profile != ONE_BYTE_PROFILE:
        return 0
    place[0] = 0x90
    end += 4
    for element in elements:
        identifier, data = element
        size = PyBytes_GET_SIZE(data)
        # Elements of one byte for identifier and length (RFC 8285 section 4.2), as long as there is room.
        if not 1 <= identifier <= 14 or not 1 <= size <= 16 or end + 1 + size > LONGEST_SIMPLE_HEADER - 3:
            return 0
        place[end] = <Byte>(identifier << 4 | (size - 1))
        memcpy(place + end + 1, PyBytes_AS_STRING(data), size)
        end += 1 + <int>size
    while end & 3:
        place[end] = 0
        end += 1
    place[RTP_HEADER] = ONE_BYTE_PROFILE >> 8
    place[RTP_HEADER + 1] = ONE_BYTE_PROFILE & 0xFF
    place[RTP_HEADER + 2] = 0
    place[RTP_HEADER + 3] = (end - RTP_HEADER - 4) >> 2
    return end


cdef RtpPacket _parse(bytes data, bytes payload):
    """As `parse_rtp_packet` does, for an authentic packet: its counts and lengths were looked at before."""
    cdef const Byte *header = <const Byte *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t start = RTP_HEADER + 4 * (header[0] & 0x0F)
    cdef RtpPacket packet = RtpPacket.__new__(RtpPacket)
    cdef Py_ssize_t place
    packet.payload_type = header[1] & 0x7F
    packet.marker = header[1] >> 7
    packet.sequence_number = header[2] << 8 | header[3]
    packet.timestamp = _uint32(header + 4)
    packet.ssrc = _uint32(header + 8)
    packet.csrcs = ()
    if start > RTP_HEADER:
        packet.csrcs = tuple([_uint32(header + place) for place in range(RTP_HEADER, start, 4)])
    packet.extensions = []
    if header[0] & 0x10:
        read_extension(packet, data, start)
    if header[0] & 0x20:
        put_payload(packet, payload, header[0])
    else:
        packet.payload = payload
    return packet


# What programs see


cdef object _refusal(Outcome outcome, Py_ssize_t size):
    """The exception for what cannot be protected or is not accepted."""
    ERR_clear_error()
    if outcome == MALFORMED:
        return MalformedError(f"{size} bytes that are no packet of version 2, or whose header runs past the end")
    if outcome == REPLAYED:
        return ReplayError("a packet that came already, or is too old to know")
    if outcome == FORGED:
        return AuthenticationError("the authentication tag does not match")
    if outcome == UNENCRYPTED:
        return AuthenticationError("an SRTCP packet that is not encrypted")
    return OperationError(f"{LIBRARY} failed")


cdef class Sender:
    """See icelane.srtp.backend.Sender. Keys are for encryption, for authentication (empty with AEAD), and the salt."""

    cdef Transform rtp
    cdef Transform rtcp
    cdef Streams streams
    cdef uint64_t next_rtcp_index

    def __init__(self, tuple rtp not None, tuple rtcp not None, *, bint aead):
        self.rtp = Transform(rtp, aead, True)
        self.rtcp = Transform(rtcp, aead, True)
        self.streams = Streams(MAX_LOCAL_STREAMS, False)
        self.next_rtcp_index = 0

    def protect(self, bytes packet not None) -> bytes:
        """See icelane.srtp.backend.Sender."""
        return self.seal(packet, False)

    def protect_rtcp(self, bytes packet not None) -> bytes:
        """See icelane.srtp.backend.Sender."""
        return self.seal(packet, True)

    def protect_batch(self, list packets not None) -> list:
        """See icelane.srtp.backend.Sender."""
        cdef bytes packet
        cdef list protected = []
        for packet in packets:
            if packet is None:
                raise TypeError("a packet is bytes")
            protected.append(
                self.seal(packet, _is_rtcp(<const Byte *>PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet)))
            )
        return protected

    def protect_packets(self, list packets not None) -> list:
        """See icelane.srtp.backend.Sender."""
        cdef RtpPacket packet
        cdef list protected = []
        for packet in packets:
            if packet is None:
                raise TypeError("not a packet")
            protected.append(self.seal(serialize(packet), False) if packet.padding_length else self.seal_packet(packet))
        return protected

    cdef bytes seal_packet(self, RtpPacket packet):
        """From its fields: the payload goes into its cipher from where it is."""
        cdef bytearray front
        cdef Byte simple[LONGEST_SIMPLE_HEADER]
        cdef Byte *head = simple
        cdef int header = _write_header(simple, packet)
        cdef bytes payload = packet.payload
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        cdef bytes sealed
        cdef uint64_t index
        cdef Outcome outcome
        if header == 0:
            front = encode_header(packet)
            head = <Byte *>PyByteArray_AS_STRING(front)
            header = <int>PyByteArray_GET_SIZE(front)
        size += header
        if size > MAX_PACKET:
            raise InvalidAccessError(f"no RTP packet of version 2: {size} bytes")
        outcome = self.take_index(<uint32_t>packet.ssrc, packet.sequence_number & 0xFFFF, &index)
        if outcome != GOOD:
            raise self.explain(outcome, size)
        sealed = PyBytes_FromStringAndSize(NULL, size + self.rtp.tag_size)
        memcpy(PyBytes_AS_STRING(sealed), head, header)
        outcome = self.rtp.seal(
            <Byte *>PyBytes_AS_STRING(sealed), header, <const Byte *>PyBytes_AS_STRING(payload), <int>size,
            <uint32_t>packet.ssrc, index, False
        )
        if outcome != GOOD:
            raise self.explain(outcome, size)
        return sealed

    cdef bytes seal(self, bytes packet, bint rtcp):
        cdef const Byte *data = <const Byte *>PyBytes_AS_STRING(packet)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(packet)
        cdef Transform transform = self.rtcp if rtcp else self.rtp
        cdef bytes sealed
        cdef uint32_t ssrc
        cdef uint64_t index
        cdef int header
        cdef Outcome outcome
        if rtcp:
            header = RTCP_HEADER if RTCP_HEADER <= size <= MAX_PACKET and data[0] >> 6 == 2 else 0
        else:
            header = _rtp_header_size(data, size, 0)
        if header == 0:
            raise InvalidAccessError(f"no {'RTCP' if rtcp else 'RTP'} packet of version 2: {size} bytes")
        if rtcp:
            ssrc = _uint32(data + 4)
            outcome = self.take_rtcp_index(&index)
        else:
            ssrc = _uint32(data + 8)
            outcome = self.take_index(ssrc, data[2] << 8 | data[3], &index)
        if outcome != GOOD:
            raise self.explain(outcome, size)
        sealed = PyBytes_FromStringAndSize(NULL, size + transform.tag_size + (TRAILER if rtcp else 0))
        memcpy(PyBytes_AS_STRING(sealed), data, header)
        outcome = transform.seal(<Byte *>PyBytes_AS_STRING(sealed), header, data + header, <int>size, ssrc, index, rtcp)
        if outcome != GOOD:
            raise self.explain(outcome, size)
        return sealed

    cdef Outcome take_index(self, uint32_t ssrc, uint32_t sequence_number, uint64_t *index) noexcept nogil:
        cdef Stream *stream = self.streams.find(ssrc)
        index[0] = _estimate_index(stream, sequence_number)
        if stream != NULL and _is_replay(stream, index[0]):
            return REPLAYED
        return self.streams.hear(stream, ssrc, index[0])

    cdef Outcome take_rtcp_index(self, uint64_t *index) noexcept nogil:
        if self.next_rtcp_index > MAX_RTCP_INDEX:
            return USED_UP
        index[0] = self.next_rtcp_index
        self.next_rtcp_index += 1
        return GOOD

    cdef object explain(self, Outcome outcome, Py_ssize_t size):
        if outcome == REPLAYED:
            return InvalidStateError("a packet of this number was protected already")
        if outcome == USED_UP:
            return InvalidStateError("the keys are used up")
        if outcome == TOO_MANY:
            return InvalidAccessError(f"more than {MAX_LOCAL_STREAMS} streams")
        return _refusal(outcome, size)


cdef class Receiver:
    """See icelane.srtp.backend.Receiver. Keys are for encryption, for authentication (empty with AEAD), and the salt."""

    cdef Transform rtp
    cdef Transform rtcp
    cdef Streams streams
    cdef Streams rtcp_streams
    cdef public long long auth_failures
    cdef public long long replays
    cdef public long long malformed

    def __init__(self, tuple rtp not None, tuple rtcp not None, *, bint aead):
        self.rtp = Transform(rtp, aead, False)
        self.rtcp = Transform(rtcp, aead, False)
        self.streams = Streams(MAX_REMOTE_STREAMS, True)
        self.rtcp_streams = Streams(MAX_REMOTE_STREAMS, True)

    def unprotect(self, bytes packet not None) -> bytes:
        """See icelane.srtp.backend.Receiver."""
        cdef Outcome outcome = GOOD
        cdef bytes opened = self.open_rtp(packet, &outcome)
        if opened is None:
            raise _refusal(outcome, PyBytes_GET_SIZE(packet))
        return opened

    def unprotect_rtcp(self, bytes packet not None) -> bytes:
        """See icelane.srtp.backend.Receiver."""
        cdef Outcome outcome = GOOD
        cdef bytes opened = self.open_rtcp(packet, &outcome)
        if opened is None:
            raise _refusal(outcome, PyBytes_GET_SIZE(packet))
        return opened

    def unprotect_batch(self, list packets not None) -> list:
        """See icelane.srtp.backend.Receiver."""
        cdef bytes packet
        cdef list opened = []
        cdef Outcome outcome = GOOD
        for packet in packets:
            if packet is None:
                raise TypeError("a packet is bytes")
            if _is_rtcp(<const Byte *>PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet)):
                opened.append(self.open_rtcp(packet, &outcome))
            else:
                opened.append(self.open_rtp(packet, &outcome))
        if outcome != GOOD:
            ERR_clear_error()
        return opened

    def unprotect_packets(self, list packets not None) -> tuple:
        """See icelane.srtp.backend.Receiver."""
        cdef bytes data, opened
        cdef RtpPacket packet
        cdef list rtp = []
        cdef list rtcp = []
        cdef Outcome outcome = GOOD
        cdef int unreadable = 0
        for data in packets:
            if data is None:
                raise TypeError("a packet is bytes")
            if _is_rtcp(<const Byte *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)):
                opened = self.open_rtcp(data, &outcome)
                if opened is not None:
                    rtcp.append(opened)
                continue
            opened = self.open_payload(data, &outcome)
            if opened is None:
                continue
            try:
                packet = _parse(data, opened)
            except MalformedError:
                unreadable += 1
            else:
                rtp.append(packet)
        if outcome != GOOD:
            ERR_clear_error()
        return rtp, rtcp, unreadable

    @property
    def stream_count(self) -> int:
        """See icelane.srtp.backend.Receiver."""
        return self.streams.count

    cdef bytes open_payload(self, bytes packet, Outcome *outcome):
        """Of an RTP packet what is behind its header, which is authentic then."""
        cdef const Byte *data = <const Byte *>PyBytes_AS_STRING(packet)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(packet)
        cdef int header = _rtp_header_size(data, size, self.rtp.tag_size)
        if header == 0:
            return self.refuse(outcome, MALFORMED)
        cdef uint32_t ssrc = _uint32(data + 8)
        cdef Stream *stream = self.streams.find(ssrc)
        cdef uint64_t index = _estimate_index(stream, data[2] << 8 | data[3])
        return self.open(
            self.rtp, self.streams, stream, data, header, size - self.rtp.tag_size, ssrc, index, header, outcome
        )

    cdef bytes open_rtp(self, bytes packet, Outcome *outcome):
        cdef const Byte *data = <const Byte *>PyBytes_AS_STRING(packet)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(packet)
        cdef int header = _rtp_header_size(data, size, self.rtp.tag_size)
        cdef uint32_t ssrc
        if header == 0:
            return self.refuse(outcome, MALFORMED)
        ssrc = _uint32(data + 8)
        cdef Stream *stream = self.streams.find(ssrc)
        cdef uint64_t index = _estimate_index(stream, data[2] << 8 | data[3])
        return self.open(
            self.rtp, self.streams, stream, data, header, size - self.rtp.tag_size, ssrc, index, 0, outcome
        )

    cdef bytes open_rtcp(self, bytes packet, Outcome *outcome):
        cdef const Byte *data = <const Byte *>PyBytes_AS_STRING(packet)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(packet)
        cdef Py_ssize_t body = size - self.rtcp.tag_size - TRAILER
        cdef uint32_t ssrc, word
        if body < RTCP_HEADER or size > MAX_PACKET or data[0] >> 6 != 2:
            return self.refuse(outcome, MALFORMED)
        word = _uint32(data + size - TRAILER if self.rtcp.aead else data + body)
        if not word >> 31:  # RFC 8827 section 6.5: nothing goes without encryption
            return self.refuse(outcome, UNENCRYPTED)
        ssrc = _uint32(data + 4)
        cdef Stream *stream = self.rtcp_streams.find(ssrc)
        return self.open(
            self.rtcp, self.rtcp_streams, stream, data, RTCP_HEADER, body, ssrc, word & 0x7FFFFFFF, 0, outcome
        )

    cdef bytes open(self, Transform transform, Streams streams, Stream *stream, const Byte *data, int header,
                    Py_ssize_t size, uint32_t ssrc, uint64_t index, int without, Outcome *outcome):
        """What was protected, without so many bytes of its beginning: the header, or none of it."""
        cdef bint rtcp = transform is self.rtcp
        cdef bytes opened
        cdef Outcome found
        if stream != NULL and _is_replay(stream, index):
            return self.refuse(outcome, REPLAYED)
        opened = PyBytes_FromStringAndSize(NULL, size - without)
        memcpy(PyBytes_AS_STRING(opened), data, header - without)
        found = transform.open(
            <Byte *>PyBytes_AS_STRING(opened) + (header - without), data, header, <int>size, ssrc, index, rtcp
        )
        if found == GOOD:
            found = streams.hear(stream, ssrc, index)
        return opened if found == GOOD else self.refuse(outcome, found)

    cdef bytes refuse(self, Outcome *outcome, Outcome found):
        outcome[0] = found
        if found == MALFORMED:
            self.malformed += 1
        elif found == REPLAYED:
            self.replays += 1
        else:
            self.auth_failures += 1
        return None
