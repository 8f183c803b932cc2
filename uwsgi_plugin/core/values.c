#include "values.h"

#include "jsonread.h"

#define MAX_TEXT 2048U  /* code points of one value */
#define MAX_NUMBER 40U  /* characters */

/* ---- the slot ---- */

uint64_t hk_values_ask(hk_values *v, uint64_t thread)
{
    uint64_t now = __atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE);

    __atomic_store_n(&v->thread, thread, __ATOMIC_RELAXED);
    if ((now & 1) != 0)
        (void)__atomic_compare_exchange_n(&v->sequence, &now, now + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    return __atomic_add_fetch(&v->asked, 1, __ATOMIC_ACQ_REL);
}

int hk_values_begin(hk_values *v, uint64_t number)
{
    uint64_t now = __atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE);

    if (number == 0 || __atomic_load_n(&v->asked, __ATOMIC_ACQUIRE) != number || (now & 1) != 0
        || !__atomic_compare_exchange_n(&v->sequence, &now, now + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return -1;
    v->answered = number;
    v->n = 0;
    v->reason = 0;
    return 0;
}

int hk_values_add(hk_values *v, hk_slice piece)
{
    uint32_t n = __atomic_load_n(&v->n, __ATOMIC_RELAXED); /* once: a worker may write it meanwhile */

    if (n > HK_VALUES_MAX || HK_VALUES_MAX - n < piece.n) {
        v->n = 0;
        return -1;
    }
    if (piece.n > 0)
        memcpy(v->text + n, piece.p, piece.n);
    v->n = n + (uint32_t)piece.n;
    return 0;
}

void hk_values_end(hk_values *v, uint64_t number, uint32_t reason)
{
    uint64_t now = __atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE);

    v->reason = reason;
    if ((now & 1) != 0 && v->answered == number)
        __atomic_store_n(&v->sequence, now + 1, __ATOMIC_RELEASE);
}

int hk_values_is_begun(const hk_values *v, uint64_t number)
{
    return (__atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE) & 1) != 0 || hk_values_is_done(v, number);
}

int hk_values_is_done(const hk_values *v, uint64_t number)
{
    uint64_t now = __atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE);

    return number != 0 && (now & 1) == 0 && __atomic_load_n(&v->answered, __ATOMIC_ACQUIRE) == number;
}

hk_slice hk_values_get(const hk_values *v, uint64_t number, hk_pool *pool, uint32_t *reason)
{
    uint64_t before = __atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE);
    uint32_t n = __atomic_load_n(&v->n, __ATOMIC_RELAXED);
    hk_slice copy = { "", 0 };

    *reason = 0;
    if (!hk_values_is_done(v, number))
        return copy;
    *reason = v->reason;
    if (n == 0 || n > HK_VALUES_MAX)
        return copy;
    copy = hk_pool_keep(pool, hk_slice_make(v->text, n));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&v->sequence, __ATOMIC_ACQUIRE) != before)
        copy.n = 0;
    return copy;
}

/* ---- what stands in it ---- */

typedef struct writer {
    hk_json *j;
    unsigned depth;
} writer;

static int put_value(hk_json *j, hk_slice raw, unsigned depth);

static int put_member(void *ctx, hk_slice key, hk_slice value)
{
    writer *w = ctx;

    hk_json_key(w->j, key, MAX_TEXT);
    return put_value(w->j, value, w->depth);
}

/* The items of an array: raw is valid JSON. */
static int put_items(hk_json *j, hk_slice raw, unsigned depth)
{
    size_t at = 1, n;

    hk_json_open(j, '[');
    while (at < raw.n && raw.p[at] != ']') {
        if (raw.p[at] == ',' || raw.p[at] == ' ' || raw.p[at] == '\t' || raw.p[at] == '\n' || raw.p[at] == '\r') {
            at++;
            continue;
        }
        n = hk_jsonread_skip(hk_slice_from(raw, at), depth);
        if (n == 0 || put_value(j, hk_slice_make(raw.p + at, n), depth) < 0)
            return -1;
        at += n;
    }
    hk_json_close(j, ']');
    return 0;
}

/* raw again, as our own writer writes it. 0; -1: too deep, or no JSON. */
static int put_value(hk_json *j, hk_slice raw, unsigned depth)
{
    writer w = { j, depth + 1 };
    hk_status status;
    hk_buf text;

    if (raw.n == 0 || depth > HK_VALUES_DEPTH)
        return -1;
    switch (raw.p[0]) {
    case '{':
        hk_json_open(j, '{');
        if (hk_jsonread_object(raw, put_member, &w) != HK_OK)
            return -1;
        hk_json_close(j, '}');
        return 0;
    case '[': return put_items(j, raw, depth + 1);
    case '"':
        hk_buf_init(&text, HK_VALUES_MAX);
        status = hk_jsonread_string(raw, &text);
        if (status == HK_OK)
            hk_json_value(j, hk_buf_slice(&text), MAX_TEXT);
        hk_buf_free(&text);
        return status == HK_OK ? 0 : -1;
    default:
        if (raw.n > MAX_NUMBER)
            return -1;
        hk_json_raw(j, raw); /* a number or a word: it was looked at when it was skipped */
        return 0;
    }
}

typedef struct reading {
    hk_pool *pool;
    hk_frame *frames;
    size_t count;
    hk_frame *now;
} reading;

static hk_slice kept_string(hk_slice raw, hk_pool *pool)
{
    hk_slice out = { "", 0 };
    hk_buf b;

    hk_buf_init(&b, 4096);
    if (hk_jsonread_string(raw, &b) == HK_OK)
        out = hk_pool_keep(pool, hk_buf_slice(&b));
    hk_buf_free(&b);
    return out;
}

static int frame_member(void *ctx, hk_slice key, hk_slice value)
{
    reading *r = ctx;
    double line;
    hk_json j;
    hk_buf b;

    if (hk_slice_is(key, "file")) {
        r->now->file = kept_string(value, r->pool);
    } else if (hk_slice_is(key, "function")) {
        r->now->function = kept_string(value, r->pool);
    } else if (hk_slice_is(key, "line")) {
        if (hk_jsonread_number(value, &line) == HK_OK && line < 1e9)
            r->now->line = (uint64_t)line;
    } else if (hk_slice_is(key, "vars") && value.n > 0 && value.p[0] == '{') {
        hk_buf_init(&b, HK_VALUES_MAX);
        hk_json_init(&j, &b);
        if (put_value(&j, value, 0) == 0 && hk_buf_ok(&b))
            r->now->vars = hk_pool_keep(r->pool, hk_buf_slice(&b));
        hk_buf_free(&b);
    }
    return 0;
}

static int whole_member(void *ctx, hk_slice key, hk_slice value)
{
    reading *r = ctx;
    size_t at = 1, n;

    if (!hk_slice_is(key, "frames") || value.n == 0 || value.p[0] != '[')
        return 0;
    r->count = 0;
    while (at < value.n && value.p[at] != ']' && r->count < HK_FRAMES_MAX) {
        if (value.p[at] != '{') {
            at++;
            continue;
        }
        n = hk_jsonread_skip(hk_slice_from(value, at), 0);
        r->now = &r->frames[r->count];
        memset(r->now, 0, sizeof *r->now);
        if (n == 0 || hk_jsonread_object(hk_slice_make(value.p + at, n), frame_member, r) != HK_OK || r->now->file.n == 0)
            return -1;
        r->count++;
        at += n;
    }
    return 0;
}

hk_frame *hk_values_frames(hk_slice answer, hk_pool *pool, size_t *count)
{
    reading r = { pool, NULL, 0, NULL };

    *count = 0;
    if (answer.n == 0)
        return NULL;
    r.frames = hk_pool_alloc(pool, HK_FRAMES_MAX * sizeof *r.frames);
    if (r.frames == NULL || hk_jsonread_object(answer, whole_member, &r) != HK_OK || r.count == 0)
        return NULL;
    *count = r.count;
    return r.frames;
}
