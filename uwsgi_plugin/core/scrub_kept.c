#include "scrub_kept.h"

#include "json.h"
#include "jsonread.h"

#define ELLIPSIS "\xe2\x80\xa6"
#define MAX_KEY 200U /* characters of a key */

/* At most most bytes of text, not cut inside a character. */
static size_t cut_at(hk_slice text, size_t most)
{
    size_t n = most;

    if (text.n <= most)
        return text.n;
    while (n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* What was masked into out, in pool. */
static hk_slice finish(hk_buf *out, hk_pool *pool)
{
    hk_slice kept = hk_buf_ok(out) ? hk_pool_keep(pool, hk_buf_slice(out)) : hk_slice_of(HK_SCRUB_MASK);

    hk_buf_free(out);
    return kept;
}

/* text as it is masked: whole, or cut with an ellipsis, which tells the rule that a URL may have lost its '@'. */
static hk_slice capped(hk_slice text, size_t most, hk_pool *pool)
{
    size_t n = cut_at(text, most);
    char *copy;

    if (n == text.n)
        return text;
    copy = hk_pool_alloc(pool, n + sizeof ELLIPSIS);
    if (copy == NULL)
        return hk_slice_make("", 0);
    memcpy(copy, text.p, n);
    memcpy(copy + n, ELLIPSIS, sizeof ELLIPSIS - 1);
    return hk_slice_make(copy, n + sizeof ELLIPSIS - 1);
}

hk_slice hk_scrub_kept(const hk_scrub *s, hk_scrub_function function, hk_slice text, size_t most, hk_pool *pool)
{
    hk_buf out;

    if (text.n == 0)
        return text;
    text = capped(text, most, pool);
    hk_buf_init(&out, HK_SCRUB_ROOM(text.n));
    function(s, text, &out);
    return finish(&out, pool);
}

hk_slice hk_scrub_named(const hk_scrub *s, hk_slice name, hk_slice value, size_t most, hk_pool *pool)
{
    hk_buf out;

    if (value.n == 0)
        return value;
    value = capped(value, most, pool);
    hk_buf_init(&out, HK_SCRUB_ROOM(value.n));
    hk_scrub_header(s, name, value, &out);
    return finish(&out, pool);
}

typedef struct writing {
    const hk_scrub *scrub;
    hk_json json;
} writing;

/* One member of a user: a text by its name; other values as they are, but none that holds others. */
static int put_member(void *ctx, hk_slice key, hk_slice value)
{
    writing *w = ctx;
    hk_buf text, masked;

    if (value.n == 0 || value.p[0] == '{' || value.p[0] == '[')
        return 0;
    hk_json_key(&w->json, key, MAX_KEY);
    if (value.p[0] != '"') {
        if (hk_scrub_name(w->scrub, key, 0) == HK_SCRUB_SECRET)
            hk_json_value(&w->json, hk_slice_of(HK_SCRUB_MASK), HK_JSON_NO_LIMIT);
        else
            hk_json_raw(&w->json, value);
        return 0;
    }
    hk_buf_init(&text, value.n + 1);
    hk_buf_init(&masked, HK_SCRUB_ROOM(value.n));
    if (hk_jsonread_string(value, &text) != HK_OK || !hk_buf_ok(&text)
        || (hk_slice_is(key, "email") && !w->scrub->send_pii))
        hk_buf_puts(&masked, HK_SCRUB_MASK);
    else
        hk_scrub_header(w->scrub, key, hk_buf_slice(&text), &masked);
    hk_json_value(&w->json, hk_buf_ok(&masked) ? hk_buf_slice(&masked) : hk_slice_of(HK_SCRUB_MASK), MAX_KEY);
    hk_buf_free(&text);
    hk_buf_free(&masked);
    return 0;
}

hk_slice hk_scrub_user(const hk_scrub *s, hk_slice user, hk_pool *pool)
{
    hk_slice kept = { "", 0 };
    writing w;
    hk_buf out;

    if (user.n == 0)
        return user;
    w.scrub = s;
    hk_buf_init(&out, HK_SCRUB_ROOM(user.n));
    hk_json_init(&w.json, &out);
    hk_json_open(&w.json, '{');
    if (hk_jsonread_object(user, put_member, &w) == HK_OK) {
        hk_json_close(&w.json, '}');
        if (hk_buf_ok(&out))
            kept = hk_pool_keep(pool, hk_buf_slice(&out));
    }
    hk_buf_free(&out);
    return kept;
}
