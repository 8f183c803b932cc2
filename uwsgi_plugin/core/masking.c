#include "masking.h"

#include "scrub_kept.h"

#define MAX_LINE 4096U  /* bytes of a short text: a tag, a release */
#define MAX_TEXT 32768U /* of a message or an extra: 8,192 code points */

static const hk_pair *scrub_pairs(const hk_scrub *s, const hk_pair *pairs, size_t *n, size_t most, hk_pool *pool)
{
    hk_pair *masked;
    size_t i;

    if (*n == 0)
        return pairs;
    masked = hk_pool_alloc(pool, *n * sizeof *masked);
    if (masked == NULL) {
        *n = 0;
        return NULL;
    }
    for (i = 0; i < *n; i++) {
        masked[i].key = hk_scrub_kept(s, hk_scrub_text, pairs[i].key, MAX_LINE, pool);
        masked[i].value = hk_scrub_named(s, pairs[i].key, pairs[i].value, most, pool);
    }
    return masked;
}

static const hk_slice *scrub_items(const hk_scrub *s, const hk_slice *items, size_t *n, hk_pool *pool)
{
    hk_slice *masked;
    size_t i;

    if (*n == 0)
        return items;
    masked = hk_pool_alloc(pool, *n * sizeof *masked);
    if (masked == NULL) {
        *n = 0;
        return NULL;
    }
    for (i = 0; i < *n; i++)
        masked[i] = hk_scrub_kept(s, hk_scrub_url, items[i], MAX_LINE, pool);
    return masked;
}

void hk_masking_event(const hk_scrub *s, hk_event *e, hk_pool *pool)
{
    hk_slice *const texts[] = { &e->message, &e->exception_value, &e->exception_type };
    hk_slice *const lines[] = { &e->logger, &e->platform, &e->server_name, &e->release, &e->environment };
    hk_slice *const urls[] = { &e->culprit, &e->transaction };
    size_t i;

    for (i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = hk_scrub_kept(s, hk_scrub_text, *texts[i], MAX_TEXT, pool);
    for (i = 0; i < sizeof lines / sizeof lines[0]; i++)
        *lines[i] = hk_scrub_kept(s, hk_scrub_text, *lines[i], MAX_LINE, pool);
    for (i = 0; i < sizeof urls / sizeof urls[0]; i++)
        *urls[i] = hk_scrub_kept(s, hk_scrub_url, *urls[i], MAX_LINE, pool);
    e->tags = scrub_pairs(s, e->tags, &e->tag_count, MAX_LINE, pool);
    e->extra = scrub_pairs(s, e->extra, &e->extra_count, MAX_TEXT, pool);
    e->fingerprint = scrub_items(s, e->fingerprint, &e->fingerprint_count, pool);
    e->user = hk_scrub_user(s, e->user, pool);
}
