#include "trace.h"

#include "packet.h"

/* n hex digits at the start of s, made lower; not all of them zero. */
static int take_hex(hk_slice s, size_t n, char *out)
{
    int any = 0;
    size_t i;

    if (s.n < n)
        return 0;
    for (i = 0; i < n; i++) {
        char c = s.p[i] >= 'A' && s.p[i] <= 'F' ? (char)(s.p[i] + 32) : s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return 0;
        any |= c != '0';
        out[i] = c;
    }
    out[n] = '\0';
    return any;
}

/* 32 digits, a dash, 16 digits. */
static int take_ids(hk_slice s, hk_trace *out)
{
    if (take_hex(s, 32, out->trace_id) && s.n >= 49 && s.p[32] == '-' && take_hex(hk_slice_from(s, 33), 16, out->parent))
        return 1;
    memset(out, 0, sizeof *out);
    return 0;
}

static int read_sentry_trace(hk_slice s, hk_trace *out)
{
    s = hk_slice_trim(s);
    if (s.n == 49 || (s.n == 51 && s.p[49] == '-' && (s.p[50] == '0' || s.p[50] == '1')))
        return take_ids(s, out);
    return 0;
}

static int read_traceparent(hk_slice s, hk_trace *out)
{
    char digits[33] = "";

    s = hk_slice_trim(s);
    if (s.n < 55 || s.p[2] != '-' || s.p[52] != '-' || (s.n > 55 && s.p[55] != '-'))
        return 0;
    (void)take_hex(s, 2, digits);
    if (strspn(digits, "0123456789abcdef") != 2 || memcmp(digits, "ff", 2) == 0)
        return 0;
    return take_ids(hk_slice_from(s, 3), out);
}

static int read_baggage(hk_slice s, hk_trace *out)
{
    static const char name[] = "sentry-trace_id";
    size_t at = 0, end;

    for (; at < s.n; at = end + 1) {
        hk_slice member, value;
        for (end = at; end < s.n && s.p[end] != ','; end++)
            ;
        member = hk_slice_trim(hk_slice_make(s.p + at, end - at));
        if (!hk_slice_starts(member, name))
            continue;
        value = hk_slice_trim(hk_slice_from(member, sizeof name - 1));
        if (value.n == 0 || value.p[0] != '=')
            continue;
        value = hk_slice_trim(hk_slice_from(value, 1));
        if (take_hex(value, 32, out->trace_id) && (value.n == 32 || value.p[32] == ';' || value.p[32] == ' '))
            return 1;
        memset(out, 0, sizeof *out);
    }
    return 0;
}

void hk_trace_read(hk_slice vars, hk_trace *out)
{
    hk_slice rest = vars, key, value, sentry = { "", 0 }, parent = { "", 0 }, baggage = { "", 0 };

    memset(out, 0, sizeof *out);
    while (hk_packet_next_pair(&rest, &key, &value) == 1) {
        if (hk_slice_is(key, "HTTP_SENTRY_TRACE"))
            sentry = value;
        else if (hk_slice_is(key, "HTTP_TRACEPARENT"))
            parent = value;
        else if (hk_slice_is(key, "HTTP_BAGGAGE"))
            baggage = value;
    }
    if (!read_sentry_trace(sentry, out) && !read_traceparent(parent, out))
        (void)read_baggage(baggage, out);
}
