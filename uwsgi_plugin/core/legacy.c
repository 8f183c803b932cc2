#include "legacy.h"

#define STORED_MAX 65535U /* bytes of one stored block, RFC 1951 section 3.2.4 */

void hk_legacy_put_base64(hk_slice s, hk_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at;

    for (at = 0; at < s.n; at += 3) {
        size_t left = s.n - at;
        unsigned long v = (unsigned long)(unsigned char)s.p[at] << 16;
        if (left > 1)
            v |= (unsigned long)(unsigned char)s.p[at + 1] << 8;
        if (left > 2)
            v |= (unsigned long)(unsigned char)s.p[at + 2];
        hk_buf_putc(out, digits[v >> 18]);
        hk_buf_putc(out, digits[v >> 12 & 63]);
        hk_buf_putc(out, left > 1 ? digits[v >> 6 & 63] : '=');
        hk_buf_putc(out, left > 2 ? digits[v & 63] : '=');
    }
}

static unsigned long adler32(hk_slice s)
{
    unsigned long a = 1, b = 0;
    size_t i;

    for (i = 0; i < s.n; i++) {
        a = (a + (unsigned char)s.p[i]) % 65521; /* RFC 1950: the largest prime under 65,536 */
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

void hk_legacy_put(hk_slice json, hk_buf *out)
{
    unsigned long sum = adler32(json);
    hk_slice rest = json;
    hk_buf z;

    hk_buf_init(&z, out->limit);
    hk_buf_put(&z, "\x78\x01", 2); /* deflate, window 32 KiB, fastest; divisible by 31 */
    do {
        size_t n = rest.n > STORED_MAX ? STORED_MAX : rest.n;
        hk_buf_putc(&z, n == rest.n ? 1 : 0); /* the last block says so */
        hk_buf_putc(&z, (char)(n & 255));
        hk_buf_putc(&z, (char)(n >> 8));
        hk_buf_putc(&z, (char)(~n & 255));
        hk_buf_putc(&z, (char)(~n >> 8 & 255));
        hk_buf_put(&z, rest.p, n);
        rest = hk_slice_from(rest, n);
    } while (rest.n > 0);
    hk_buf_putc(&z, (char)(sum >> 24));
    hk_buf_putc(&z, (char)(sum >> 16 & 255));
    hk_buf_putc(&z, (char)(sum >> 8 & 255));
    hk_buf_putc(&z, (char)(sum & 255));
    if (hk_buf_ok(&z))
        hk_legacy_put_base64(hk_buf_slice(&z), out);
    else
        out->failed = 1;
    hk_buf_free(&z);
}
