/* Sends a batch: each destination gets its own in order, as runs where the kernel takes them, and as many messages as
 * possible in each system call.
 */
#define _GNU_SOURCE
#include "relay_state.h"

#include <errno.h>
#include <string.h>

static int is_busy(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM;
}

/* How the kernel says that a run cannot go there: no checksums by the device, or pieces longer than the path takes. */
static int refuses_runs(int error)
{
    return error == EIO || error == EMSGSIZE || error == EINVAL || error == EOPNOTSUPP || error == ENOPROTOOPT;
}

static uint32_t put_item(struct iovec *iov, item *put)
{
    uint32_t used = 0;
    if (put->has_header) {
        iov[used].iov_base = put->header;
        iov[used++].iov_len = HEADER;
    }
    iov[used].iov_base = (void *)put->payload;
    iov[used++].iov_len = put->size;
    return used;
}

static uint32_t size_of(const item *sent)
{
    return sent->size + (sent->has_header ? HEADER : 0);
}

/* Send what the kernel did not take as a run piece by piece; it is not asked again for that destination. */
static void send_singly(relay_core *core, const message_origin *origin)
{
    flow *to = origin->flow;
    socket_slot *slot = &core->sockets[to->socket];
    int32_t index = origin->first;
    slot->counters.refused_runs++;
    to->singly = 1;
    for (uint32_t segment = 0; segment < origin->segments; segment++, index = core->items[index].next) {
        struct iovec iov[2];
        struct msghdr message = {.msg_name = &to->to, .msg_namelen = to->length, .msg_iov = iov};
        message.msg_iovlen = put_item(iov, &core->items[index]);
        core->activity.sends++;
        if (sendmsg(slot->descriptor, &message, MSG_DONTWAIT) >= 0)
            core->activity.sent++;
        else if (is_busy(errno))
            slot->counters.busy_sends++;
        else
            slot->counters.failed_sends++;
    }
}

static void send_messages(relay_core *core, uint32_t socket, uint32_t count)
{
    socket_slot *slot = &core->sockets[socket];
    uint32_t done = 0;
    int again = 0;
    while (done < count) {
        core->activity.sends++;
        int sent = sendmmsg(slot->descriptor, core->outgoing + done, count - done, MSG_DONTWAIT);
        if (sent > 0) {
            for (int index = 0; index < sent; index++)
                core->activity.sent += core->origins[done + (uint32_t)index].segments;
            core->activity.sent_messages += (uint64_t)sent;
            done += (uint32_t)sent;
            again = 0;
            continue;
        }
        int error = errno;
        const message_origin *origin = &core->origins[done];
        if (error == EINTR)
            continue;
        if (!is_busy(error) && !again) {
            /* Linux fails the next call on a socket for what an earlier datagram met, so that one peer's closed port
             * would cost datagrams to other peers. */
            again = 1;
            continue;
        }
        if (origin->segments > 1 && refuses_runs(error))
            send_singly(core, origin);
        else if (is_busy(error))
            slot->counters.busy_sends += origin->segments;
        else
            slot->counters.failed_sends += origin->segments;
        done++;
        again = 0;
    }
}

/* The next message of `from`: as long a run as the kernel takes. Returns the places in `iov` that it has used. */
static uint32_t build_message(relay_core *core, flow *from, uint32_t index, struct iovec *iov)
{
    struct msghdr *message = &core->outgoing[index].msg_hdr;
    message_origin *origin = &core->origins[index];
    uint32_t size = size_of(&core->items[from->first]), total = 0, used = 0, segments = 0;
    int32_t next = from->first;
    origin->flow = from;
    origin->first = next;
    while (next != NOTHING) {
        item *piece = &core->items[next];
        uint32_t own = size_of(piece);
        if (segments > 0 && (own == 0 || own > size || total + own > MAX_RUN_BYTES))
            break;
        used += put_item(iov + used, piece);
        total += own;
        segments++;
        next = piece->next;
        if (own < size || own == 0 || segments == MAX_SEGMENTS || !core->settings.runs || from->singly)
            break;
    }
    from->first = next;
    origin->segments = segments;
    message->msg_name = &from->to;
    message->msg_namelen = from->length;
    message->msg_iov = iov;
    message->msg_iovlen = used;
    message->msg_flags = 0;
    if (segments > 1) {
        struct cmsghdr *header = &core->outgoing_ancillary[index].header;
        uint16_t piece = (uint16_t)size;
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof piece);
        memcpy(CMSG_DATA(header), &piece, sizeof piece);
        message->msg_control = header;
        message->msg_controllen = CMSG_SPACE(sizeof piece);
    } else {
        message->msg_control = NULL;
        message->msg_controllen = 0;
    }
    return used;
}

static void flush_flows(relay_core *core, flow **flows, uint32_t count)
{
    uint32_t messages = 0, iov_used = 0, socket = NOBODY;
    for (uint32_t index = 0; index < count; index++) {
        flow *from = flows[index];
        if (from->socket != socket && messages > 0) {
            send_messages(core, socket, messages);
            messages = iov_used = 0;
        }
        socket = from->socket;
        while (from->first != NOTHING) {
            if (messages == MAX_MESSAGES || iov_used + MAX_SEGMENTS * 2 > MAX_IOV) {
                send_messages(core, socket, messages);
                messages = iov_used = 0;
            }
            iov_used += build_message(core, from, messages++, core->outgoing_iov + iov_used);
        }
        from->last = NOTHING;
    }
    if (messages > 0)
        send_messages(core, socket, messages);
}

void relay_flush(relay_core *core)
{
    flush_flows(core, core->up, core->up_used);
    flush_flows(core, core->down, core->down_used);
    core->up_used = core->down_used = 0;
    core->items_used = 0;
}
