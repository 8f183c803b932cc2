#include "alarm.h"

#include "../core/scrub_kept.h"
#include "snapshot.h"

#define MAX_NAME 200U

typedef struct alarmed {
    hk_slice name, sentence;
    uint64_t in_flight;
    hk_inflight *requests;
    size_t count;
} alarmed;

static hk_slice keep(hk_buf *b, hk_pool *pool)
{
    hk_slice out = hk_buf_ok(b) ? hk_pool_keep(pool, hk_buf_slice(b)) : hk_slice_make("", 0);

    hk_buf_free(b);
    return out;
}

static hk_slice number(uint64_t value, hk_pool *pool)
{
    hk_buf b;

    hk_buf_init(&b, 32);
    hk_buf_put_u64(&b, value);
    return keep(&b, pool);
}

static uint64_t count_in_flight(void)
{
    uint64_t n = 0;
    int w, c;

    for (w = 1; w <= uwsgi.numproc; w++)
        for (c = 0; c < uwsgi.cores && uwsgi.workers[w].cores != NULL; c++)
            n += __atomic_load_n(&uwsgi.workers[w].cores[c].in_request, __ATOMIC_ACQUIRE) != 0;
    return n;
}

/* "uWSGI raised the alarm full with 3 requests in flight" */
static hk_slice sentence(const alarmed *a, hk_pool *pool)
{
    hk_buf b;

    hk_buf_init(&b, 1024);
    hk_buf_puts(&b, "uWSGI raised the alarm ");
    hk_buf_slice_put(&b, a->name);
    hk_buf_puts(&b, " with ");
    if (a->in_flight == 0)
        hk_buf_puts(&b, "no");
    else
        hk_buf_put_u64(&b, a->in_flight);
    hk_buf_puts(&b, a->in_flight == 1 ? " request in flight" : " requests in flight");
    return keep(&b, pool);
}

static void read_requests(alarmed *a, hk_pool *pool)
{
    hk_snapshot nobody; /* an alarm accuses no request */

    if (uwsgi.workers == NULL)
        return; /* the server is only being set up */
    memset(&nobody, 0, sizeof nobody);
    a->in_flight = count_in_flight();
    a->requests = a->in_flight == 0 ? NULL : hk_pool_alloc(pool, HK_INFLIGHT_MAX * sizeof *a->requests);
    if (a->requests != NULL)
        a->count = hk_snapshot_others(&nobody, uwsgi_micros(), pool, a->requests, HK_INFLIGHT_MAX);
}

static hk_slice context(const alarmed *a, hk_pool *pool)
{
    hk_json j;
    hk_buf b;

    hk_buf_init(&b, 4U * HK_INFLIGHT_ROOM);
    hk_json_init(&j, &b);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "version", hk_slice_of(UWSGI_VERSION), 32);
    hk_json_pair(&j, "alarm", a->name, MAX_NAME);
    hk_json_pair(&j, "sentence", a->sentence, 512);
    hk_json_key(&j, hk_slice_of("requests_in_flight"), HK_JSON_NO_LIMIT);
    hk_json_u64(&j, a->in_flight);
    if (a->count > 0)
        hk_inflight_put_list(&j, "bystanders", a->requests, a->count);
    hk_json_close(&j, '}');
    return keep(&b, pool);
}

/* Version 3 has no contexts: the same as texts. */
static void add_extra(const alarmed *a, hk_pool *pool, hk_capture_facts *facts)
{
    hk_pair *extra = hk_pool_alloc(pool, 3 * sizeof *extra);
    size_t i;
    hk_buf b;

    if (extra == NULL)
        return;
    extra[0].key = hk_slice_of("sentence");
    extra[0].value = a->sentence;
    extra[1].key = hk_slice_of("requests_in_flight");
    extra[1].value = number(a->in_flight, pool);
    hk_buf_init(&b, 65536);
    for (i = 0; i < a->count; i++)
        hk_inflight_put_line(&a->requests[i], &b);
    extra[2].key = hk_slice_of("other_requests");
    extra[2].value = keep(&b, pool);
    facts->extra = extra;
    facts->extra_count = extra[2].value.n > 0 ? 3 : 2;
}

void hk_alarm_describe(const char *name, int protocol, hk_pool *pool, hk_capture_facts *facts)
{
    hk_pair *pairs = hk_pool_alloc(pool, 2 * sizeof *pairs);
    alarmed a;

    if (pairs == NULL)
        return;
    memset(&a, 0, sizeof a);
    a.name = hk_scrub_kept(&hk_settings.scrub, hk_scrub_text, hk_slice_of(name == NULL ? "" : name), MAX_NAME, pool);
    read_requests(&a, pool);
    a.sentence = sentence(&a, pool);
    pairs[0].key = hk_slice_of("uwsgi.alarm");
    pairs[0].value = a.name;
    facts->tags = &pairs[0];
    facts->tag_count = a.name.n > 0;
    if (protocol == 3) {
        add_extra(&a, pool, facts);
        return;
    }
    pairs[1].key = hk_slice_of("uwsgi");
    pairs[1].value = context(&a, pool);
    facts->contexts = &pairs[1];
    facts->context_count = pairs[1].value.n > 0;
}
