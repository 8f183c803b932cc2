#include "jsonread.h"

static size_t skip_space(hk_slice t, size_t at)
{
    while (at < t.n && (t.p[at] == ' ' || t.p[at] == '\t' || t.p[at] == '\n' || t.p[at] == '\r'))
        at++;
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Offset behind the string that starts at t.p[at] == '"', or 0. */
static size_t skip_string(hk_slice t, size_t at)
{
    size_t i;

    for (at++; at < t.n; at++) {
        unsigned char c = (unsigned char)t.p[at];
        if (c == '"')
            return at + 1;
        if (c < 0x20)
            return 0;
        if (c != '\\')
            continue;
        at++;
        if (at >= t.n)
            return 0;
        if (t.p[at] == 'u') {
            for (i = 0; i < 4; i++) {
                at++;
                if (at >= t.n || hex_digit(t.p[at]) < 0)
                    return 0;
            }
        } else if (memchr("\"\\/bfnrt", t.p[at], 8) == NULL) {
            return 0;
        }
    }
    return 0;
}

static size_t skip_digits(hk_slice t, size_t at)
{
    while (at < t.n && t.p[at] >= '0' && t.p[at] <= '9')
        at++;
    return at;
}

static size_t skip_number(hk_slice t, size_t at)
{
    size_t start;

    if (at < t.n && t.p[at] == '-')
        at++;
    start = at;
    at = skip_digits(t, at);
    if (at == start || (t.p[start] == '0' && at > start + 1))
        return 0;
    if (at < t.n && t.p[at] == '.') {
        start = ++at;
        at = skip_digits(t, at);
        if (at == start)
            return 0;
    }
    if (at < t.n && (t.p[at] == 'e' || t.p[at] == 'E')) {
        at++;
        if (at < t.n && (t.p[at] == '+' || t.p[at] == '-'))
            at++;
        start = at;
        at = skip_digits(t, at);
        if (at == start)
            return 0;
    }
    return at;
}

static size_t skip_word(hk_slice t, size_t at, const char *word)
{
    return hk_slice_starts(hk_slice_from(t, at), word) ? at + strlen(word) : 0;
}

static size_t skip_value(hk_slice t, size_t at, unsigned depth);

static size_t skip_container(hk_slice t, size_t at, unsigned depth, char end)
{
    if (depth >= HK_JSONREAD_DEPTH)
        return 0;
    at = skip_space(t, at + 1);
    if (at < t.n && t.p[at] == end)
        return at + 1;
    for (;;) {
        if (end == '}') {
            if (at >= t.n || t.p[at] != '"')
                return 0;
            at = skip_string(t, at);
            if (at == 0)
                return 0;
            at = skip_space(t, at);
            if (at >= t.n || t.p[at] != ':')
                return 0;
            at = skip_space(t, at + 1);
        }
        at = skip_value(t, at, depth + 1);
        if (at == 0)
            return 0;
        at = skip_space(t, at);
        if (at >= t.n)
            return 0;
        if (t.p[at] == end)
            return at + 1;
        if (t.p[at] != ',')
            return 0;
        at = skip_space(t, at + 1);
    }
}

/* Offset behind the value at t.p[at], or 0: no value ends at offset 0. */
static size_t skip_value(hk_slice t, size_t at, unsigned depth)
{
    if (at >= t.n)
        return 0;
    switch (t.p[at]) {
    case '{': return skip_container(t, at, depth, '}');
    case '[': return skip_container(t, at, depth, ']');
    case '"': return skip_string(t, at);
    case 't': return skip_word(t, at, "true");
    case 'f': return skip_word(t, at, "false");
    case 'n': return skip_word(t, at, "null");
    default: return skip_number(t, at);
    }
}

size_t hk_jsonread_skip(hk_slice text, unsigned depth)
{
    return skip_value(text, 0, depth);
}

hk_status hk_jsonread_object(hk_slice t, hk_jsonread_member member, void *ctx)
{
    hk_status rc = HK_ERR_SYNTAX;
    size_t at = skip_space(t, 0), key_at, value_at, end;
    hk_buf key;

    hk_buf_init(&key, 4096); /* no key of ours is longer; a DSN key is under 2,048 */
    if (at >= t.n || t.p[at] != '{')
        goto out;
    end = skip_value(t, at, 0);
    if (end == 0 || skip_space(t, end) != t.n)
        goto out;
    at = skip_space(t, at + 1);
    while (t.p[at] != '}') {
        key_at = at;
        at = skip_string(t, at);
        hk_buf_clear(&key);
        rc = hk_jsonread_string(hk_slice_make(t.p + key_at, at - key_at), &key);
        if (rc != HK_OK)
            goto out;
        value_at = skip_space(t, skip_space(t, at) + 1);
        at = skip_value(t, value_at, 1);
        if (member(ctx, hk_buf_slice(&key), hk_slice_make(t.p + value_at, at - value_at)) != 0) {
            rc = HK_ERR_SYNTAX;
            goto out;
        }
        at = skip_space(t, at);
        if (t.p[at] == ',')
            at = skip_space(t, at + 1);
    }
    rc = HK_OK;
out:
    hk_buf_free(&key);
    return rc;
}

static void put_code_point(hk_buf *out, unsigned long c)
{
    if (c < 0x80) {
        hk_buf_putc(out, (char)c);
    } else if (c < 0x800) {
        hk_buf_putc(out, (char)(0xc0 | (c >> 6)));
        hk_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        hk_buf_putc(out, (char)(0xe0 | (c >> 12)));
        hk_buf_putc(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        hk_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else {
        hk_buf_putc(out, (char)(0xf0 | (c >> 18)));
        hk_buf_putc(out, (char)(0x80 | ((c >> 12) & 0x3f)));
        hk_buf_putc(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        hk_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    }
}

static unsigned long hex4(const char *p)
{
    unsigned long v = 0;
    int i;

    for (i = 0; i < 4; i++)
        v = v * 16 + (unsigned long)hex_digit(p[i]);
    return v;
}

hk_status hk_jsonread_string(hk_slice raw, hk_buf *out)
{
    size_t at;

    if (raw.n < 2 || raw.p[0] != '"' || skip_string(raw, 0) != raw.n)
        return HK_ERR_SYNTAX;
    for (at = 1; at < raw.n - 1; at++) {
        unsigned long c, low;
        if (raw.p[at] != '\\') {
            hk_buf_putc(out, raw.p[at]);
            continue;
        }
        at++;
        switch (raw.p[at]) {
        case 'b': hk_buf_putc(out, '\b'); break;
        case 'f': hk_buf_putc(out, '\f'); break;
        case 'n': hk_buf_putc(out, '\n'); break;
        case 'r': hk_buf_putc(out, '\r'); break;
        case 't': hk_buf_putc(out, '\t'); break;
        case 'u':
            c = hex4(raw.p + at + 1);
            at += 4;
            if (c >= 0xd800 && c <= 0xdbff && raw.n - 1 - at > 6 && raw.p[at + 1] == '\\' && raw.p[at + 2] == 'u') {
                low = hex4(raw.p + at + 3);
                if (low >= 0xdc00 && low <= 0xdfff) {
                    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                }
            }
            put_code_point(out, c >= 0xd800 && c <= 0xdfff ? 0xfffd : c);
            break;
        default: hk_buf_putc(out, raw.p[at]);
        }
    }
    return hk_buf_ok(out) ? HK_OK : HK_ERR_MEMORY;
}

hk_status hk_jsonread_number(hk_slice raw, double *out)
{
    double value = 0, scale = 1;
    long exponent = 0;
    int sign = 1;
    size_t at = 0;

    *out = 0;
    if (raw.n == 0 || raw.p[0] == '-' || skip_number(raw, 0) != raw.n)
        return HK_ERR_SYNTAX;
    for (; at < raw.n && raw.p[at] >= '0' && raw.p[at] <= '9'; at++)
        value = value * 10 + (raw.p[at] - '0');
    if (at < raw.n && raw.p[at] == '.')
        for (at++; at < raw.n && raw.p[at] >= '0' && raw.p[at] <= '9'; at++) {
            scale /= 10;
            value += (raw.p[at] - '0') * scale;
        }
    if (at < raw.n) {
        at++; /* e or E */
        if (raw.p[at] == '+' || raw.p[at] == '-')
            sign = raw.p[at++] == '-' ? -1 : 1;
        for (; at < raw.n; at++)
            if (exponent < 400) /* past the range of a double either way */
                exponent = exponent * 10 + (raw.p[at] - '0');
        for (; exponent > 0; exponent--)
            value = sign > 0 ? value * 10 : value / 10;
    }
    *out = value;
    return HK_OK;
}
