/* scrub_batch.c: many cases of the privacy rule in one call, for tests/scrub_fuzz.py.
 *
 * in:  records of one byte (the kind), four of length (little endian), and the text
 * out: records of four bytes of length and the masked text, in the same order
 */
#include "../../uwsgi_plugin/core/scrub.h"

static size_t length_at(const unsigned char *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static void one(char kind, hk_slice text, hk_buf *out)
{
    static const hk_scrub rule = { 0 };
    const char *mark;

    switch (kind) {
    case 'n':
        hk_buf_putc(out, (char)('0' + hk_scrub_name(&rule, text, 0)));
        hk_buf_putc(out, (char)('0' + hk_scrub_name(&rule, text, 1)));
        break;
    case 'q':
        hk_scrub_query(&rule, text, out);
        break;
    case 'c':
        hk_scrub_cookie(&rule, text, out);
        break;
    case 'u':
        hk_scrub_url(&rule, text, out);
        break;
    case 'a':
        hk_scrub_argv(&rule, text, out);
        break;
    case 'h':
        mark = memchr(text.p, ':', text.n);
        if (mark != NULL) {
            hk_scrub_header(&rule, hk_slice_make(text.p, (size_t)(mark - text.p)),
                            hk_slice_from(text, (size_t)(mark - text.p) + 1), out);
            break;
        }
        /* fall through */
    default:
        hk_scrub_text(&rule, text, out);
    }
}

/* Steps of the rule: with gcc -fsanitize-coverage=trace-pc each branch that is taken comes by here. */
void __sanitizer_cov_trace_pc(void);
unsigned long scrub_steps(void);

static unsigned long steps;

void __attribute__((no_sanitize_coverage)) __sanitizer_cov_trace_pc(void)
{
    steps++;
}

unsigned long scrub_steps(void)
{
    return steps;
}

/* Bytes written to out, or 0: out has no room for them. */
size_t scrub_batch(const unsigned char *in, size_t n, unsigned char *out, size_t room);

size_t scrub_batch(const unsigned char *in, size_t n, unsigned char *out, size_t room)
{
    size_t at = 0, written = 0;
    hk_buf b;

    hk_buf_init(&b, room);
    while (at + 5 <= n) {
        size_t length = length_at(in + at + 1);
        hk_buf_clear(&b);
        one((char)in[at], hk_slice_make((const char *)in + at + 5, length), &b);
        at += 5 + length;
        if (!hk_buf_ok(&b) || room - written < b.len + 4) {
            written = 0;
            break;
        }
        out[written++] = (unsigned char)b.len;
        out[written++] = (unsigned char)(b.len >> 8);
        out[written++] = (unsigned char)(b.len >> 16);
        out[written++] = (unsigned char)(b.len >> 24);
        if (b.len > 0)
            memcpy(out + written, b.data, b.len);
        written += b.len;
    }
    hk_buf_free(&b);
    return written;
}
