#include "waiting_calls.h"

#include "json.h"

#define MAX_NAME 200U /* code points of a path, a socket's name */

static uint64_t read_number(hk_slice *rest, unsigned base)
{
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
            : c >= 'a' && c <= 'f'            ? (unsigned)(c - 'a') + 10
            : c >= 'A' && c <= 'F'            ? (unsigned)(c - 'A') + 10
                                              : base;
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    *rest = hk_slice_from(*rest, i);
    return n;
}

static hk_slice word(hk_slice *rest)
{
    hk_slice out;
    size_t n = 0;

    while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\n'))
        *rest = hk_slice_from(*rest, 1);
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\n')
        n++;
    out = hk_slice_make(rest->p, n);
    *rest = hk_slice_from(*rest, n);
    return out;
}

static hk_slice without(hk_slice s, const char *start)
{
    return hk_slice_starts(s, start) ? hk_slice_from(s, strlen(start)) : s;
}

void hk_waiting_read(hk_slice text, hk_waiting_call *out)
{
    hk_slice rest = text, first = word(&rest), argument;
    size_t i;

    memset(out, 0, sizeof *out);
    out->number = -1;
    out->running = hk_slice_is(first, "running");
    if (first.n == 0 || first.p[0] < '0' || first.p[0] > '9')
        return; /* "running", or -1: stopped, and in no call */
    out->number = (long)read_number(&first, 10);
    out->known = first.n == 0;
    for (i = 0; i < 6; i++) {
        argument = without(word(&rest), "0x");
        out->arguments[i] = read_number(&argument, 16);
    }
    for (i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
        if (CALLS[i].number == out->number) {
            out->name = CALLS[i].name;
            out->shape = CALLS[i].shape;
            return;
        }
}

void hk_waiting_read_channel(hk_slice text, hk_waiting_call *out)
{
    size_t i;

    memset(out, 0, sizeof *out);
    out->number = -1;
    for (i = 0; i < sizeof CHANNELS / sizeof CHANNELS[0] && !out->known; i++)
        if (hk_slice_starts(text, CHANNELS[i].start)) {
            out->known = 1;
            out->name = CHANNELS[i].name;
            out->shape = CHANNELS[i].shape;
            out->arguments[0] = (uint64_t)-1;
        }
}

int hk_waiting_read_stat(hk_slice text, char *state, uint64_t *ticks)
{
    hk_slice rest = text, field;
    size_t at = text.n, i;

    while (at > 0 && text.p[at - 1] != ')') /* the name before it may hold anything */
        at--;
    rest = hk_slice_from(text, at);
    field = word(&rest);
    if (at == 0 || field.n != 1)
        return -1;
    *state = field.p[0];
    *ticks = 0;
    for (i = 4; i <= 15; i++) { /* utime is the 14th field of all, stime the 15th */
        field = word(&rest);
        if (i >= 14)
            *ticks += read_number(&field, 10);
    }
    return 0;
}

const char *hk_waiting_state(char letter)
{
    switch (letter) {
    case 'R': return "running";
    case 'S': return "waiting";
    case 'D': return "uninterruptible";
    case 'T':
    case 't': return "stopped";
    default: return "dead";
    }
}

/* "1: -> FLOCK  ADVISORY  WRITE 900 fe:00:7873103 0 EOF": with the arrow, it waits for the one with the same number. */
uint64_t hk_waiting_lock_holder(hk_slice locks, uint64_t pid)
{
    hk_slice rest = locks, line, id, mark, field;
    uint64_t holder_id = 0, holder = 0, its;

    while (rest.n > 0) {
        line = hk_slice_line(&rest);
        id = word(&line);
        mark = line;
        field = word(&mark);
        if (hk_slice_is(field, "->")) {
            line = mark;
            field = word(&line), field = word(&line), field = word(&line); /* kind, ADVISORY, WRITE */
            field = word(&line);
            if (read_number(&field, 10) == pid && read_number(&id, 10) == holder_id)
                return holder;
        } else {
            field = word(&line), field = word(&line), field = word(&line);
            field = word(&line);
            its = read_number(&field, 10);
            holder_id = read_number(&id, 10);
            holder = its;
        }
    }
    return 0;
}

static void put_hex(unsigned value, hk_buf *out)
{
    if (value > 15)
        put_hex(value >> 4, out);
    hk_buf_putc(out, "0123456789abcdef"[value & 15]);
}

/* An address of /proc/net: 32 bit words in the machine's order; for IPv6 four of them. */
static void put_address(hk_slice hex, hk_slice port, hk_buf *out)
{
    unsigned char bytes[16];
    size_t words = hex.n / 8, i;
    int mapped;

    for (i = 0; i < words && i < 4; i++) {
        hk_slice one = hk_slice_make(hex.p + i * 8, 8);
        uint32_t value = (uint32_t)read_number(&one, 16);
        memcpy(bytes + i * 4, &value, 4);
    }
    mapped = words == 4 && memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\377\377", 12) == 0;
    if (words == 1 || mapped) {
        for (i = 0; i < 4; i++) {
            if (i > 0)
                hk_buf_putc(out, '.');
            hk_buf_put_u64(out, bytes[(mapped ? 12 : 0) + i]);
        }
    } else {
        hk_buf_putc(out, '[');
        for (i = 0; i < 16; i += 2) {
            put_hex((unsigned)bytes[i] << 8 | bytes[i + 1], out);
            if (i < 14)
                hk_buf_putc(out, ':');
        }
        hk_buf_putc(out, ']');
    }
    hk_buf_putc(out, ':');
    hk_buf_put_u64(out, read_number(&port, 16));
}

/* "sl local_address rem_address st queues timer retransmits uid timeout inode …" */
int hk_waiting_read_peer(hk_slice line, uint64_t inode, const char *protocol, hk_buf *out)
{
    hk_slice fields[10], chosen;
    size_t i;

    for (i = 0; i < 10; i++)
        fields[i] = word(&line);
    if (read_number(&fields[9], 10) != inode || inode == 0)
        return 0;
    chosen = hk_slice_is(fields[3], "0A") ? fields[1] : fields[2]; /* listens */
    for (i = 0; i < chosen.n && chosen.p[i] != ':'; i++)
        ;
    if ((i != 8 && i != 32) || i == chosen.n)
        return 0;
    put_address(hk_slice_make(chosen.p, i), hk_slice_from(chosen, i + 1), out);
    hk_buf_puts(out, ", ");
    hk_buf_puts(out, protocol);
    return 1;
}

/* ---- words ---- */

/* A descriptor: "127.0.0.1:5432, tcp", "a pipe", "/srv/app/cache.lock". */
static void put_target(const hk_waiting_facts *facts, hk_buf *out)
{
    hk_slice target = facts->target;

    if (facts->peer.n > 0) {
        hk_json_line(facts->peer, MAX_NAME, out);
    } else if (hk_slice_starts(target, "socket:")) {
        hk_buf_puts(out, "a socket");
    } else if (hk_slice_starts(target, "pipe:")) {
        hk_buf_puts(out, "a pipe");
    } else if (hk_slice_starts(target, "anon_inode:")) {
        hk_json_line(without(target, "anon_inode:"), MAX_NAME, out);
    } else if (target.n > 0) {
        hk_json_line(target, MAX_NAME, out);
    } else {
        hk_buf_puts(out, "a descriptor");
    }
}

static void put_polled(const hk_waiting_call *call, const hk_waiting_facts *facts, hk_buf *out)
{
    if (facts->number == 0 && call->shape != HK_WAITING_EPOLL) {
        hk_buf_puts(out, "a sleep");
        return;
    }
    hk_buf_puts(out, call->name);
    hk_buf_puts(out, " on ");
    if (facts->number == 1) {
        put_target(facts, out);
        return;
    }
    hk_buf_put_u64(out, facts->number);
    hk_buf_puts(out, " descriptors");
    if (facts->target.n > 0) {
        hk_buf_puts(out, ", the first ");
        put_target(facts, out);
    }
}

static void put_child(const hk_waiting_facts *facts, hk_buf *out)
{
    hk_buf_puts(out, "the end of a child process");
    if (facts->number > 0) {
        hk_buf_puts(out, ", pid ");
        hk_buf_put_u64(out, facts->number);
    }
}

static const char *preposition(hk_waiting_shape shape)
{
    switch (shape) {
    case HK_WAITING_FROM: return " from ";
    case HK_WAITING_TO: return " to ";
    case HK_WAITING_OF:
    case HK_WAITING_PATH0:
    case HK_WAITING_PATH1: return " of ";
    default: return " on ";
    }
}

void hk_waiting_put(const hk_waiting_call *call, const hk_waiting_facts *facts, hk_buf *out)
{
    if (!call->known)
        return;
    switch (call->name == NULL ? HK_WAITING_PLAIN : call->shape) {
    case HK_WAITING_SLEEP: hk_buf_puts(out, "a sleep"); return;
    case HK_WAITING_CHILD: put_child(facts, out); return;
    case HK_WAITING_FUTEX: hk_buf_puts(out, "futex, probably a lock: see threads"); return;
    case HK_WAITING_POLL:
    case HK_WAITING_SELECT:
    case HK_WAITING_EPOLL: put_polled(call, facts, out); return;
    case HK_WAITING_PLAIN:
        hk_buf_puts(out, call->name == NULL ? "system call " : call->name);
        if (call->name == NULL)
            hk_buf_put_u64(out, (uint64_t)call->number);
        return;
    default: break;
    }
    hk_buf_puts(out, call->name);
    hk_buf_puts(out, preposition(call->shape));
    put_target(facts, out);
    if ((call->shape == HK_WAITING_LOCK || call->shape == HK_WAITING_FCNTL) && facts->number > 0) {
        hk_buf_puts(out, ", held by pid ");
        hk_buf_put_u64(out, facts->number);
    }
}
