/*
 * relay_load: offers paced traffic to a TURN relay and is its sink.
 *
 * It knows no TURN. benches/turn_client.py sets the allocations up and hands over, as inherited descriptors, one
 * connected client socket per flow and one UDP socket that is the peer of them all; benches/load.py starts this:
 *
 *   relay_load PAYLOAD BURST RATE MILLISECONDS DIRECTION PEER_FD FLOWS   < flows
 *
 *   PAYLOAD       application bytes in each packet
 *   BURST         packets of one flow sent back to back in one system call
 *   RATE          packets per second over all flows and directions; 0 sends as fast as it can
 *   DIRECTION     up (client to peer), down (peer to client) or both (bursts alternate)
 *   flows         FLOWS lines "FD datagram|stream PREFIX_HEX RELAY_ADDRESS RELAY_PORT"; PREFIX is what precedes the
 *                 payload on the client side: a ChannelData header, or a Send indication up to its DATA value
 *
 * Every payload starts with a stamp: 8 random bytes that name this run, then the time of sending. The sink looks for
 * the former, so it needs no offsets, and it ignores packets of other runs. One line of JSON is the result.
 *
 * For a TLS client side only flow_write and flow_read go through another layer; nothing else touches a client stream.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64,              /* datagrams per recvmmsg, and the largest burst */
    FRAME = 2048,            /* room for the largest datagram and its framing */
    PREFIX = 64,             /* room for a flow's prefix */
    STREAM_BUFFER = 256 * 1024,
    CATCH_UP = 16,           /* bursts that may be sent back to back before the sink is looked at */
    LATENCIES = 1 << 20,     /* microseconds; what is later than a second is counted in the last one */
    DRAIN_IDLE_MS = 500,     /* packets that nobody has seen for so long are lost; */
    DRAIN_MAX_MS = 3000,     /* and after this time a run is over in any case */
};

struct stamp {
    uint64_t run;
    uint64_t sent_at;
};

struct flow {
    int fd;
    bool stream;
    struct sockaddr_in relay;
    unsigned char prefix[PREFIX];
    size_t prefix_length;
    unsigned char *out; /* stream only: the frames that the socket has not taken yet */
    size_t out_start, out_end;
    unsigned char *in; /* stream only: an incomplete frame */
    size_t in_length;
};

static struct flow *flows;
static size_t flow_count;
static int peer_fd;
static unsigned char payload[FRAME];
static size_t payload_length;
static struct stamp stamp;
static uint64_t sent, received, held_back;
static uint64_t offered_until, last_arrival;
static uint32_t latency_us[LATENCIES];

static void die(const char *what) {
    fprintf(stderr, "relay_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* ---- sending ---- */

static ssize_t flow_write(struct flow *flow, const void *data, size_t length) {
    return send(flow->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_datagrams(int fd, struct iovec *parts, size_t part_count, struct sockaddr_in *to, int burst) {
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages[0] * (size_t)burst);
    for (int i = 0; i < burst; i++) {
        messages[i].msg_hdr.msg_iov = parts;
        messages[i].msg_hdr.msg_iovlen = part_count;
        messages[i].msg_hdr.msg_name = to;
        messages[i].msg_hdr.msg_namelen = to ? sizeof *to : 0;
    }
    int taken = sendmmsg(fd, messages, (unsigned)burst, MSG_DONTWAIT);
    if (taken < 0)
        taken = 0; /* a full buffer, or an ICMP error from a server that went away: the packets were not offered */
    sent += (uint64_t)taken;
    held_back += (uint64_t)(burst - taken);
}

static bool flush_stream(struct flow *flow) {
    while (flow->out_start < flow->out_end) {
        ssize_t taken = flow_write(flow, flow->out + flow->out_start, flow->out_end - flow->out_start);
        if (taken < 0) {
            if (errno != EAGAIN && errno != EINTR)
                die("a client stream broke while sending");
            return false;
        }
        flow->out_start += (size_t)taken;
    }
    flow->out_start = flow->out_end = 0;
    return true;
}

static void send_frames(struct flow *flow, int burst) {
    if (!flush_stream(flow)) {
        held_back += (uint64_t)burst;
        return;
    }
    for (int i = 0; i < burst; i++) {
        memcpy(flow->out + flow->out_end, flow->prefix, flow->prefix_length);
        memcpy(flow->out + flow->out_end + flow->prefix_length, payload, payload_length);
        flow->out_end += flow->prefix_length + payload_length;
    }
    sent += (uint64_t)burst;
    flush_stream(flow);
}

static void send_burst(struct flow *flow, bool up, int burst) {
    stamp.sent_at = now_ns();
    memcpy(payload, &stamp, sizeof stamp); /* one stamp for the burst: its packets leave in one system call */
    struct iovec parts[2] = {{flow->prefix, flow->prefix_length}, {payload, payload_length}};
    if (!up)
        send_datagrams(peer_fd, parts + 1, 1, &flow->relay, burst);
    else if (flow->stream)
        send_frames(flow, burst);
    else
        send_datagrams(flow->fd, parts, 2, NULL, burst);
}

/* ---- receiving ---- */

static void count_frame(const unsigned char *frame, size_t length, uint64_t now) {
    const unsigned char *found = memmem(frame, length, &stamp.run, sizeof stamp.run);
    if (!found || (size_t)(frame + length - found) < payload_length)
        return;
    struct stamp seen;
    memcpy(&seen, found, sizeof seen);
    uint64_t microseconds = (now - seen.sent_at) / 1000;
    latency_us[microseconds < LATENCIES ? microseconds : LATENCIES - 1]++;
    received++;
    last_arrival = now;
}

static void receive_datagrams(int fd) {
    static unsigned char buffers[BATCH][FRAME];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], FRAME};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++)
        count_frame(buffers[i], messages[i].msg_len, now);
}

static ssize_t flow_read(struct flow *flow, void *data, size_t length) {
    return recv(flow->fd, data, length, MSG_DONTWAIT);
}

/* RFC 8656 section 12.5: over a stream, ChannelData has padding to four bytes; STUN messages need none. */
static size_t frame_length(const unsigned char *frame) {
    size_t body = (size_t)frame[2] << 8 | frame[3];
    return (frame[0] & 0xC0) == 0x40 ? 4 + ((body + 3) & ~(size_t)3) : 20 + body;
}

static void receive_stream(struct flow *flow) {
    ssize_t taken = flow_read(flow, flow->in + flow->in_length, STREAM_BUFFER - flow->in_length);
    if (taken < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (taken <= 0)
        die("a client stream ended");
    flow->in_length += (size_t)taken;
    uint64_t now = now_ns();
    size_t start = 0, length;
    while (flow->in_length - start >= 4 && (length = frame_length(flow->in + start)) <= flow->in_length - start) {
        count_frame(flow->in + start, length, now);
        start += length;
    }
    memmove(flow->in, flow->in + start, flow->in_length -= start);
}

static void receive_ready(int epoll_fd, int timeout_ms) {
    struct epoll_event ready[BATCH];
    int count = epoll_wait(epoll_fd, ready, BATCH, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct flow *flow = ready[i].data.ptr; /* NULL: the peer socket */
        if (!flow)
            receive_datagrams(peer_fd);
        else if (flow->stream)
            receive_stream(flow);
        else
            receive_datagrams(flow->fd);
    }
}

static void watch(int epoll_fd, int fd, struct flow *flow) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = flow};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

/* ---- the run ---- */

static void offer(int epoll_fd, uint64_t start, int burst, uint64_t rate, uint64_t milliseconds, bool up, bool down) {
    uint64_t end = start + milliseconds * 1000000u, now = start;
    uint64_t bursts = 0, interval = rate ? (uint64_t)burst * 1000000000u / rate : 0;
    while (now < end) {
        for (int i = 0; i < CATCH_UP && start + bursts * interval <= now && now < end; i++, bursts++) {
            bool both = up && down;
            send_burst(&flows[(both ? bursts / 2 : bursts) % flow_count], both ? bursts % 2 == 0 : up, burst);
        }
        receive_ready(epoll_fd, 0);
        now = now_ns();
    }
    offered_until = now;
}

static void drain(int epoll_fd) {
    uint64_t start = now_ns(), last = start, before = received;
    const uint64_t idle_limit = DRAIN_IDLE_MS * 1000000ull, limit = DRAIN_MAX_MS * 1000000ull;
    while (received < sent && now_ns() - last < idle_limit && now_ns() - start < limit) {
        for (size_t i = 0; i < flow_count; i++)
            if (flows[i].stream)
                flush_stream(&flows[i]);
        receive_ready(epoll_fd, 20);
        if (received != before)
            last = now_ns();
        before = received;
    }
}

static uint64_t percentile(double share) {
    uint64_t rank = (uint64_t)((double)received * share), seen = 0;
    for (uint64_t i = 0; i < LATENCIES; i++)
        if ((seen += latency_us[i]) > rank)
            return i;
    return 0;
}

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory)
        die("out of memory");
    return memory;
}

static void read_flows(int epoll_fd, size_t count) {
    flows = allocate(count * sizeof *flows); /* of fixed size: epoll keeps pointers into it */
    char kind[16], hex[2 * PREFIX + 1], host[16];
    int fd, port;
    for (; flow_count < count; flow_count++) {
        struct flow *flow = &flows[flow_count];
        if (scanf("%d %15s %128s %15s %d", &fd, kind, hex, host, &port) != 5)
            die("a flow line is malformed");
        flow->fd = fd;
        flow->stream = strcmp(kind, "stream") == 0;
        flow->prefix_length = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
        for (size_t i = 0; i < flow->prefix_length; i++)
            sscanf(hex + 2 * i, "%2hhx", &flow->prefix[i]);
        flow->relay = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        inet_pton(AF_INET, host, &flow->relay.sin_addr);
        if (flow->stream) {
            flow->out = allocate(BATCH * FRAME);
            flow->in = allocate(STREAM_BUFFER);
        }
        watch(epoll_fd, fd, flow);
    }
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a benchmark that is killed leaves no generator behind */
    if (argc != 8) {
        fprintf(stderr, "usage: relay_load PAYLOAD BURST RATE MILLISECONDS up|down|both PEER_FD FLOWS\n");
        return 2;
    }
    payload_length = strtoul(argv[1], NULL, 10);
    int burst = atoi(argv[2]);
    uint64_t rate = strtoull(argv[3], NULL, 10), milliseconds = strtoull(argv[4], NULL, 10);
    bool up = strcmp(argv[5], "down") != 0, down = strcmp(argv[5], "up") != 0;
    peer_fd = atoi(argv[6]);
    size_t count = strtoul(argv[7], NULL, 10);
    if (payload_length < sizeof stamp || payload_length > FRAME - PREFIX || burst < 1 || burst > BATCH || count < 1) {
        fprintf(stderr, "relay_load: a value is out of range\n");
        return 2;
    }
    if (getrandom(&stamp.run, sizeof stamp.run, 0) != sizeof stamp.run)
        die("getrandom");

    int epoll_fd = epoll_create1(0);
    if (epoll_fd < 0)
        die("epoll_create1");
    watch(epoll_fd, peer_fd, NULL);
    read_flows(epoll_fd, count);

    uint64_t start = now_ns();
    offer(epoll_fd, start, burst, rate, milliseconds, up, down);
    drain(epoll_fd);
    printf("{\"sent\": %llu, \"received\": %llu, \"held_back\": %llu,"
           " \"sending_seconds\": %.6f, \"arriving_seconds\": %.6f, \"p50_us\": %llu, \"p99_us\": %llu}\n",
           (unsigned long long)sent, (unsigned long long)received, (unsigned long long)held_back,
           (double)(offered_until - start) / 1e9, last_arrival ? (double)(last_arrival - start) / 1e9 : 0.0,
           (unsigned long long)percentile(0.50), (unsigned long long)percentile(0.99));
    return 0;
}
