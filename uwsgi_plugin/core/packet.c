#include "packet.h"

static int take_16(hk_slice *rest, hk_slice *out)
{
    size_t n;

    if (rest->n < 2)
        return -1;
    n = (size_t)(unsigned char)rest->p[0] | (size_t)(unsigned char)rest->p[1] << 8;
    if (rest->n - 2 < n)
        return -1;
    *out = hk_slice_make(rest->p + 2, n);
    *rest = hk_slice_from(*rest, n + 2);
    return 1;
}

int hk_packet_next_pair(hk_slice *rest, hk_slice *key, hk_slice *value)
{
    if (rest->n == 0)
        return 0;
    if (take_16(rest, key) < 0 || key->n == 0 || take_16(rest, value) < 0)
        return -1;
    return 1;
}

int hk_packet_next_item(hk_slice *rest, hk_slice *item)
{
    return rest->n == 0 ? 0 : take_16(rest, item);
}

static uint64_t number(hk_slice s)
{
    uint64_t v = 0;
    size_t i;

    for (i = 0; i < s.n && i < 19 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    return v;
}

/* Take a pair of a packet that the socket may have cut: then the value is what is there of it. 1, 0 or -1. */
static int take_cut_pair(hk_slice *rest, hk_slice *key, hk_slice *value, int *damaged)
{
    if (rest->n == 0)
        return 0;
    if (take_16(rest, key) < 0 || key->n == 0 || rest->n < 2)
        return -1;
    if (take_16(rest, value) < 0) {
        *value = hk_slice_from(*rest, 2);
        *rest = hk_slice_from(*rest, rest->n);
        *damaged = 1;
    }
    return 1;
}

void hk_packet_read_exception(hk_slice packet, hk_packet_exception *out)
{
    hk_slice rest = packet, key, value;
    int got;

    memset(out, 0, sizeof *out);
    while ((got = take_cut_pair(&rest, &key, &value, &out->damaged)) == 1) {
        if (hk_slice_is(key, "vars"))
            out->vars = value;
        else if (hk_slice_is(key, "backtrace"))
            out->backtrace = value;
        else if (hk_slice_is(key, "class"))
            out->type = value;
        else if (hk_slice_is(key, "msg"))
            out->message = value;
        else if (hk_slice_is(key, "repr"))
            out->repr = value;
        else if (hk_slice_is(key, "unix"))
            out->unix_s = number(value);
        else if (hk_slice_is(key, "wid"))
            out->worker = number(value);
        else if (hk_slice_is(key, "core"))
            out->core = number(value);
        else if (hk_slice_is(key, "pid"))
            out->pid = number(value);
    }
    out->damaged |= got < 0;
}

size_t hk_packet_fit_array(hk_slice array, size_t limit)
{
    hk_slice rest = array, item;
    size_t kept = 0;

    while (hk_packet_next_item(&rest, &item) == 1 && array.n - rest.n <= limit)
        kept = array.n - rest.n;
    return kept;
}
