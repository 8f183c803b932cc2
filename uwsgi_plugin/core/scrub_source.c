/* scrub_source.c: a line of source. In one that speaks of a secret, what stands in quotes is masked. */
#include "scrub_parts.h"

/* Whether a name that stands anywhere in line is private. */
static int has_private_name(const hk_scrub *s, hk_slice line)
{
    size_t at, end;

    for (at = 0; at < line.n; at = end) {
        end = at + 1;
        if (!hk_scrub_is_name(line.p[at]))
            continue;
        while (end < line.n && hk_scrub_is_name(line.p[end]))
            end++;
        if (hk_scrub_name(s, hk_scrub_part(line, at, end), 0) == HK_SCRUB_SECRET)
            return 1;
    }
    return 0;
}

static void put_without_quoted(hk_slice line, hk_buf *out)
{
    char quote = 0;
    size_t i;

    for (i = 0; i < line.n; i++) {
        char c = line.p[i];
        if (quote != 0) {
            if (c == '\\') {
                i++; /* what it escapes ends nothing */
            } else if (c == quote) {
                quote = 0;
                hk_buf_putc(out, c);
            }
            continue;
        }
        hk_buf_putc(out, c);
        if (c == '"' || c == '\'') {
            quote = c;
            if (i + 1 < line.n && line.p[i + 1] != c)
                hk_buf_puts(out, HK_SCRUB_MASK);
        }
    }
}

void hk_scrub_source(const hk_scrub *s, hk_slice line, hk_buf *out)
{
    static void (*const passes[])(hk_slice text, hk_buf *out) = { hk_scrub_userinfo, hk_scrub_bearer, hk_scrub_tokens,
                                                                  hk_scrub_cards };
    hk_buf b[2];
    size_t i;

    hk_buf_init(&b[0], HK_SCRUB_ROOM(line.n));
    hk_buf_init(&b[1], HK_SCRUB_ROOM(line.n));
    if (has_private_name(s, line))
        put_without_quoted(line, &b[0]);
    else
        hk_buf_slice_put(&b[0], line);
    for (i = 0; i < sizeof passes / sizeof passes[0] && hk_buf_ok(&b[i % 2]); i++) {
        hk_buf_clear(&b[(i + 1) % 2]);
        passes[i](hk_buf_slice(&b[i % 2]), &b[(i + 1) % 2]);
    }
    if (hk_buf_ok(&b[i % 2]))
        hk_buf_slice_put(out, hk_buf_slice(&b[i % 2]));
    else
        out->failed = 1;
    hk_buf_free(&b[0]);
    hk_buf_free(&b[1]);
}
