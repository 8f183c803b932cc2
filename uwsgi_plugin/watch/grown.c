#include "grown.h"

#include "../core/scrub_kept.h"
#include "../edge/kernel.h"

#include <sys/resource.h>

#define MOST_TEXT 256U
#define MOST_PATH 8192U /* of what is looked at for private words; it is cut after that */
#define SHORT_US 200U /* in so short a time hardly a page is taken: a request that counts microseconds pays no system call */

/* uWSGI measures after each request where it ends workers for their memory. */
static int is_measured(void)
{
    return uwsgi.reload_on_rss > 0 || uwsgi.reload_on_as > 0 || uwsgi.evil_reload_on_rss > 0 || uwsgi.evil_reload_on_as > 0;
}

/* The most memory that the process ever had: a system call that takes no lock and opens nothing. */
static uint64_t read_peak(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) != 0 ? 0 : (uint64_t)usage.ru_maxrss * 1024U;
}

void hk_grown_start(hk_life *life)
{
    life->growth.last = is_measured() ? hk_kernel_rss(getpid()) : read_peak();
}

void hk_grown_note(hk_life *life, const struct wsgi_request *r)
{
    int measured = is_measured();
    uint64_t now;
    hk_slice path = hk_slice_make(r->path_info, r->path_info_len);
    hk_pool pool;

    if (!measured && r->end_of_request >= r->start_of_request && r->end_of_request - r->start_of_request < SHORT_US)
        return;
    now = measured ? uwsgi.workers[uwsgi.mywid].rss_size : read_peak();
    if (now == 0)
        return;
    hk_pool_init(&pool);
    if (hk_growth_is(&life->growth, now)) /* before it is cut: a part of a secret looks like none */
        path = hk_scrub_kept(&hk_settings.scrub, hk_scrub_url, path, MOST_PATH, &pool);
    hk_growth_add(&life->growth, now, r->end_of_request, hk_slice_make(r->method, r->method_len), path);
    hk_pool_free(&pool);
}

static void put_number(hk_json *j, const char *key, uint64_t value)
{
    hk_json_key(j, hk_slice_of(key), HK_JSON_NO_LIMIT);
    hk_json_u64(j, value);
}

static void put_one(hk_json *j, const hk_grown *r, uint64_t at_us, hk_pool *pool)
{
    hk_slice path = hk_scrub_kept(&hk_settings.scrub, hk_scrub_url, hk_slice_make(r->path, r->path_size), MOST_TEXT, pool);
    hk_buf b;

    hk_buf_init(&b, 4096);
    hk_buf_put(&b, r->method, r->method_size);
    hk_buf_putc(&b, ' ');
    hk_buf_slice_put(&b, path);
    hk_json_open(j, '{');
    hk_json_pair(j, "request", hk_buf_slice(&b), MOST_TEXT);
    put_number(j, "rss_before_bytes", r->before);
    put_number(j, "rss_after_bytes", r->after);
    put_number(j, "seconds_ago", at_us > r->at_us ? (at_us - r->at_us) / 1000000 : 0);
    hk_json_close(j, '}');
    hk_buf_free(&b);
}

hk_slice hk_grown_put(const hk_life *life, const hk_snapshot *suspect, uint64_t peak, uint64_t at_us, hk_pool *pool)
{
    hk_growth *g = hk_pool_alloc(pool, sizeof *g);
    hk_slice out = hk_slice_make("", 0);
    const hk_grown *found[HK_GROWTH_MAX];
    hk_inflight request;
    size_t n, i;
    hk_json j;
    hk_buf b;

    if (g == NULL)
        return out;
    *g = life->growth;
    g->writing = 0; /* it may have died while it wrote */
    if (suspect->start_us > 0 && peak > 0) {
        hk_snapshot_describe(suspect, at_us, pool, &request);
        hk_growth_add(g, peak, at_us, request.request.method,
                      hk_scrub_kept(&hk_settings.scrub, hk_scrub_url, request.request.path, MOST_PATH, pool));
    }
    n = hk_growth_sort(g, found);
    if (n == 0)
        return out;
    hk_buf_init(&b, 16384);
    hk_json_init(&j, &b);
    hk_json_open(&j, '[');
    for (i = 0; i < n; i++)
        put_one(&j, found[i], at_us, pool);
    hk_json_close(&j, ']');
    if (hk_buf_ok(&b))
        out = hk_pool_keep(pool, hk_buf_slice(&b));
    hk_buf_free(&b);
    return out;
}
