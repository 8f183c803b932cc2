#include "capture.h"

#include "../core/envelope.h"
#include "../core/legacy.h"
#include "../core/masking.h"
#include "../core/pathname.h"
#include "sys.h"

#define MAX_PAIRS 50U       /* tags or extra of one handler */
#define MAX_UDP_JSON 48000U /* base64 makes 64,000 of it; a datagram holds 65,507 with its header */

typedef struct building {
    hk_pool pool;
    const hk_capture_facts *facts;
} building;

static hk_slice expand(building *b, hk_slice value)
{
    if (value.n == 0 || b->facts->expand == NULL || memchr(value.p, '$', value.n) == NULL)
        return hk_pool_keep(&b->pool, value);
    return b->facts->expand(b->facts->expand_ctx, value, &b->pool);
}

static hk_slice option(building *b, const hk_options *o, hk_option which, hk_slice otherwise)
{
    return o->values[which] == NULL ? otherwise : expand(b, hk_options_get(o, which));
}

/* The pairs of tags or extra: split first, then expand each, so that no value makes a pair of its own. */
static hk_pair *pairs(building *b, hk_slice text, const hk_pair *more, size_t more_count, size_t *count)
{
    hk_pair *list = hk_pool_alloc(&b->pool, (MAX_PAIRS + more_count) * sizeof *list);
    hk_buf key, value;
    size_t n = 0, i;

    *count = 0;
    if (list == NULL)
        return NULL;
    hk_buf_init(&key, 65536);
    hk_buf_init(&value, 1024 * 1024);
    while (n < MAX_PAIRS && hk_options_next_pair(&text, &key, &value)) {
        list[n].key = expand(b, hk_buf_slice(&key));
        list[n].value = expand(b, hk_buf_slice(&value));
        if (list[n].key.n > 0)
            n++;
    }
    for (i = 0; i < more_count; i++)
        list[n++] = more[i];
    hk_buf_free(&key);
    hk_buf_free(&value);
    *count = n;
    return list;
}

static hk_slice *items(building *b, hk_slice text, size_t *count)
{
    hk_slice *list = hk_pool_alloc(&b->pool, MAX_PAIRS * sizeof *list);
    hk_buf item;

    *count = 0;
    if (list == NULL)
        return NULL;
    hk_buf_init(&item, 65536);
    while (*count < MAX_PAIRS && hk_options_next_item(&text, &item))
        list[(*count)++] = expand(b, hk_buf_slice(&item));
    hk_buf_free(&item);
    return list;
}

static hk_slice transaction(building *b, const hk_request *r)
{
    hk_buf text;
    hk_slice out;

    if (r->method.n == 0)
        return hk_slice_make("", 0);
    hk_buf_init(&text, 65536 * 2);
    hk_buf_slice_put(&text, r->method);
    hk_buf_putc(&text, ' ');
    hk_pathname_put(r->path, &text);
    out = hk_buf_ok(&text) ? hk_pool_keep(&b->pool, hk_buf_slice(&text)) : hk_slice_make("", 0);
    hk_buf_free(&text);
    return out;
}

static hk_slice strip_end(hk_slice s)
{
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static void fill(building *b, const hk_options *o, const hk_capture_defaults *d, hk_request *request, hk_event *e)
{
    const hk_capture_facts *f = b->facts;

    if (f->vars.n > 0)
        hk_request_read(f->vars, &d->scrub, &b->pool, request);
    e->request = request;
    e->mechanism = f->mechanism;
    e->signal = f->signal;
    e->user = f->user;
    e->images = f->images;
    e->contexts = f->contexts;
    e->context_count = f->context_count;
    e->level = option(b, o, HK_OPT_LEVEL, f->level.n > 0 ? f->level : hk_slice_of(HK_CAPTURE_DEFAULT_LEVEL));
    if (!hk_options_is_level(e->level))
        e->level = hk_slice_of(HK_CAPTURE_DEFAULT_LEVEL); /* a request variable gave another word */
    e->logger = option(b, o, HK_OPT_LOGGER, hk_slice_of(HK_CAPTURE_DEFAULT_LOGGER));
    e->message = option(b, o, HK_OPT_MESSAGE, strip_end(f->message));
    e->platform = option(b, o, HK_OPT_PLATFORM, hk_slice_make("", 0));
    e->transaction = f->transaction.n > 0 ? f->transaction : transaction(b, request);
    e->culprit = option(b, o, HK_OPT_CULPRIT, e->transaction);
    e->server_name = option(b, o, HK_OPT_SERVER_NAME, d->server_name);
    e->release = option(b, o, HK_OPT_RELEASE, d->release);
    e->environment = option(b, o, HK_OPT_ENVIRONMENT, d->environment);
    e->exception_type = option(b, o, HK_OPT_EXCEPTION_TYPE, f->exception_type);
    e->exception_value = option(b, o, HK_OPT_EXCEPTION_VALUE, f->exception_value);
    e->tags = pairs(b, hk_options_get(o, HK_OPT_TAGS), f->tags, f->tag_count, &e->tag_count);
    e->extra = pairs(b, hk_options_get(o, HK_OPT_EXTRA), f->extra, f->extra_count, &e->extra_count);
    e->fingerprint = items(b, hk_options_get(o, HK_OPT_FINGERPRINT), &e->fingerprint_count);
    if (e->fingerprint_count == 0) {
        e->fingerprint = f->fingerprint;
        e->fingerprint_count = f->fingerprint_count;
    }
    e->frames = f->frames;
    e->frame_count = f->frame_count;
    e->threads = f->threads;
    e->thread_count = f->thread_count;
    if (f->frames == NULL)
        e->frames = hk_frames_read(f->backtrace, &b->pool, &e->frame_count);
}

/* The bytes of the spool file. */
static hk_status encode(const hk_event *e, const hk_options *o, const hk_capture_defaults *d, const hk_dsn *dsn,
                        hk_buf *out)
{
    hk_envelope_hk hk = { o->no_verify, o->debug, o->store, o->timeout_s, d->ca, d->proxy };
    size_t max = hk_dsn_scheme(dsn) == HK_DSN_UDP ? MAX_UDP_JSON : HK_EVENT_MAX_BYTES;
    hk_buf json, blob;
    hk_status rc;

    hk_buf_init(&json, HK_EVENT_MAX_BYTES * 8U); /* room to build what is then trimmed */
    hk_buf_init(&blob, HK_EVENT_MAX_BYTES * 2U);
    rc = hk_event_put(e, o->protocol, max, &json);
    if (rc == HK_OK) {
        if (o->protocol == 3)
            hk_legacy_put(hk_buf_slice(&json), &blob);
        hk_envelope_put(hk_slice_of(e->id), dsn, &hk, o->protocol == 3 ? "raven" : "event",
                        hk_buf_slice(o->protocol == 3 ? &blob : &json), out);
        rc = hk_buf_ok(out) && hk_buf_ok(&blob) ? HK_OK : HK_ERR_MEMORY;
    }
    hk_buf_free(&json);
    hk_buf_free(&blob);
    return rc;
}

static int under_way;

int hk_capture_under_way(void)
{
    return __atomic_load_n(&under_way, __ATOMIC_ACQUIRE);
}

int hk_capture_event(hk_spool *spool, const hk_options *o, const hk_capture_defaults *d, const hk_capture_facts *f, char id[33])
{
    static uint64_t logged_ms;
    building b;
    hk_request request;
    hk_event e;
    hk_dsn dsn;
    hk_buf file;
    int rc = -1;

    __atomic_fetch_add(&under_way, 1, __ATOMIC_ACQ_REL);
    hk_ledger_add(&spool->ledger, HK_COUNT_CAPTURED, 1); /* before anything can fail */
    hk_pool_init(&b.pool);
    b.facts = f;
    memset(&request, 0, sizeof request);
    memset(&e, 0, sizeof e);
    hk_buf_init(&file, HK_EVENT_MAX_BYTES * 3U);
    hk_sys_event_id(e.id);
    e.time_ns = f->time_ns > 0 ? f->time_ns : hk_sys_now_ns();
    if (id != NULL)
        memcpy(id, e.id, sizeof e.id);
    if (hk_dsn_parse(hk_options_get(o, HK_OPT_DSN), &dsn, NULL) != HK_OK)
        goto bad;
    e.project = dsn.project;
    fill(&b, o, d, &request, &e);
    hk_masking_event(&d->scrub, &e, &b.pool);
    if (b.pool.failed || encode(&e, o, d, &dsn, &file) != HK_OK)
        goto bad;
    rc = hk_spool_put(spool, e.id, hk_buf_slice(&file), e.time_ns);
    goto out;
bad:
    hk_ledger_add(&spool->ledger, HK_COUNT_INTERNAL_SDK_ERROR, 1);
    hk_sys_log_sparingly(&logged_ms, "[sentry] an event could not be built (memory) and is lost");
out:
    if (file.data != NULL)
        hk_buf_wipe(file.data, file.len < 2048 ? file.len : 2048); /* the header line holds the secret */
    hk_buf_free(&file);
    hk_pool_free(&b.pool);
    __atomic_fetch_sub(&under_way, 1, __ATOMIC_ACQ_REL);
    return rc;
}
