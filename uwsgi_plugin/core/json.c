#include "json.h"

size_t hk_json_utf8(const unsigned char *p, size_t n)
{
    unsigned char c, low = 0x80, high = 0xbf;
    size_t need, i;

    if (n == 0)
        return 0;
    c = p[0];
    if (c < 0x80)
        return 1;
    /* Unicode 15.0, table 3-7: well-formed byte sequences. */
    if (c >= 0xc2 && c <= 0xdf) {
        need = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        need = 3;
        if (c == 0xe0)
            low = 0xa0; /* shorter forms exist */
        if (c == 0xed)
            high = 0x9f; /* surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        need = 4;
        if (c == 0xf0)
            low = 0x90;
        if (c == 0xf4)
            high = 0x8f; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (n < need)
        return 0;
    for (i = 1; i < need; i++) {
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

static void put_char(hk_buf *out, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)p[0];

    if (n > 1) {
        hk_buf_put(out, p, n);
        return;
    }
    switch (c) {
    case '"': hk_buf_puts(out, "\\\""); break;
    case '\\': hk_buf_puts(out, "\\\\"); break;
    case '\n': hk_buf_puts(out, "\\n"); break;
    case '\r': hk_buf_puts(out, "\\r"); break;
    case '\t': hk_buf_puts(out, "\\t"); break;
    default:
        if (c < 0x20 || c == 0x7f) {
            hk_buf_puts(out, "\\u00");
            hk_buf_putc(out, hex[c >> 4]);
            hk_buf_putc(out, hex[c & 15]);
        } else {
            hk_buf_putc(out, p[0]);
        }
    }
}

/* Code points in text, counting each bad byte as one; stops after limit. */
static size_t count_chars(hk_slice text, size_t limit)
{
    size_t at = 0, chars = 0, step;

    while (at < text.n && chars <= limit) {
        step = hk_json_utf8((const unsigned char *)text.p + at, text.n - at);
        at += step == 0 ? 1 : step;
        chars++;
    }
    return chars;
}

void hk_json_string(hk_buf *out, hk_slice text, size_t max_chars)
{
    size_t at = 0, chars = 0, step, keep = max_chars;
    int cut = text.n > max_chars && count_chars(text, max_chars) > max_chars;

    if (cut && max_chars > 3)
        keep = max_chars - 3;
    hk_buf_putc(out, '"');
    while (at < text.n && chars < keep) {
        step = hk_json_utf8((const unsigned char *)text.p + at, text.n - at);
        if (step == 0) {
            hk_buf_puts(out, "\xef\xbf\xbd");
            step = 1;
        } else {
            put_char(out, text.p + at, step);
        }
        at += step;
        chars++;
    }
    if (cut && max_chars > 3)
        hk_buf_puts(out, "...");
    hk_buf_putc(out, '"');
}

void hk_json_init(hk_json *j, hk_buf *out)
{
    j->out = out;
    j->comma = 0;
}

static void before_value(hk_json *j)
{
    if (j->comma)
        hk_buf_putc(j->out, ',');
    j->comma = 1;
}

void hk_json_open(hk_json *j, char bracket)
{
    before_value(j);
    hk_buf_putc(j->out, bracket);
    j->comma = 0;
}

void hk_json_close(hk_json *j, char bracket)
{
    hk_buf_putc(j->out, bracket);
    j->comma = 1;
}

void hk_json_key(hk_json *j, hk_slice key, size_t max_chars)
{
    before_value(j);
    hk_json_string(j->out, key, max_chars);
    hk_buf_putc(j->out, ':');
    j->comma = 0;
}

void hk_json_value(hk_json *j, hk_slice text, size_t max_chars)
{
    before_value(j);
    hk_json_string(j->out, text, max_chars);
}

void hk_json_u64(hk_json *j, uint64_t v)
{
    before_value(j);
    hk_buf_put_u64(j->out, v);
}

void hk_json_hex(hk_json *j, uint64_t v)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 60;

    before_value(j);
    hk_buf_puts(j->out, "\"0x");
    while (shift > 0 && (v >> shift & 15) == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        hk_buf_putc(j->out, digits[v >> shift & 15]);
    hk_buf_putc(j->out, '"');
}

void hk_json_bool(hk_json *j, int v)
{
    before_value(j);
    hk_buf_puts(j->out, v ? "true" : "false");
}

void hk_json_raw(hk_json *j, hk_slice json)
{
    before_value(j);
    hk_buf_slice_put(j->out, json);
}

void hk_json_pair(hk_json *j, const char *key, hk_slice text, size_t max_chars)
{
    if (text.n == 0)
        return;
    hk_json_key(j, hk_slice_of(key), HK_JSON_NO_LIMIT);
    hk_json_value(j, text, max_chars);
}

void hk_json_line(hk_slice text, size_t most, hk_buf *out)
{
    size_t at = 0, chars = 0, n;

    for (; at < text.n && chars < most; at += n, chars++) {
        unsigned char c = (unsigned char)text.p[at];
        n = hk_json_utf8((const unsigned char *)text.p + at, text.n - at);
        if (n == 0 || c < 0x20 || c == 0x7f) {
            n = 1;
            hk_buf_putc(out, '?');
        } else {
            hk_buf_put(out, text.p + at, n);
        }
    }
    if (at < text.n)
        hk_buf_puts(out, "...");
}
