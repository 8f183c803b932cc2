#include "inflight.h"

#include "jsonread.h"
#include "packet.h"
#include "pathname.h"

#define MAX_URL 512U /* characters of a request that only ran beside */

static hk_slice keep(hk_buf *b, hk_pool *pool)
{
    hk_slice out = hk_buf_ok(b) ? hk_pool_keep(pool, hk_buf_slice(b)) : hk_slice_make("", 0);

    hk_buf_free(b);
    return out;
}

static void key(hk_json *j, const char *name)
{
    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
}

static void put_number(hk_json *j, const char *name, uint64_t value)
{
    key(j, name);
    hk_json_u64(j, value);
}

hk_slice hk_inflight_transaction(const hk_inflight *r, hk_pool *pool)
{
    hk_buf b;

    if (r->transaction.n > 0 || r->request.method.n == 0)
        return r->transaction;
    hk_buf_init(&b, 65536 * 2);
    hk_buf_slice_put(&b, r->request.method);
    hk_buf_putc(&b, ' ');
    hk_pathname_put(r->request.path, &b);
    return keep(&b, pool);
}

static hk_slice find(const hk_pair *pairs, size_t n, const char *name)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (hk_slice_is(pairs[i].key, name))
            return pairs[i].value;
    return hk_slice_make("", 0);
}

void hk_inflight_put(hk_json *j, const hk_inflight *r)
{
    hk_json_open(j, '{');
    hk_json_pair(j, "method", r->request.method, 32);
    hk_json_pair(j, "url", r->request.url, MAX_URL);
    hk_json_pair(j, "query_string", r->request.query, MAX_URL);
    hk_json_pair(j, "host", find(r->request.headers, r->request.header_count, "Host"), 256);
    hk_json_pair(j, "remote_addr", find(r->request.env, r->request.env_count, "REMOTE_ADDR"), 64);
    hk_json_pair(j, "transaction", r->transaction, HK_EVENT_MAX_CULPRIT);
    put_number(j, "age_ms", r->age_ms);
    put_number(j, "worker", r->worker);
    put_number(j, "core", r->core);
    put_number(j, "pid", r->pid);
    hk_json_pair(j, "event_id", r->event_id, 32);
    hk_json_pair(j, "trace_id", hk_slice_of(r->trace.trace_id), 32);
    hk_json_close(j, '}');
}

void hk_inflight_put_list(hk_json *j, const char *key, const hk_inflight *list, size_t count)
{
    size_t i, left = HK_INFLIGHT_ROOM;
    hk_json inner;
    hk_buf one;

    hk_json_key(j, hk_slice_of(key), HK_JSON_NO_LIMIT);
    hk_json_open(j, '[');
    for (i = 0; i < count; i++) {
        hk_buf_init(&one, 65536);
        hk_json_init(&inner, &one);
        hk_inflight_put(&inner, &list[i]);
        if (hk_buf_ok(&one) && one.len <= left) {
            hk_json_raw(j, hk_buf_slice(&one));
            left -= one.len;
        }
        hk_buf_free(&one);
    }
    hk_json_close(j, ']');
}

void hk_inflight_put_line(const hk_inflight *r, hk_buf *out)
{
    hk_slice path = r->request.path;

    hk_buf_slice_put(out, r->request.method.n > 0 ? r->request.method : hk_slice_of("(a request that is not read yet)"));
    hk_buf_putc(out, ' ');
    hk_buf_slice_put(out, path.n > MAX_URL ? hk_slice_make(path.p, MAX_URL) : path);
    hk_buf_puts(out, " for ");
    hk_buf_put_u64(out, r->age_ms);
    hk_buf_puts(out, " ms on worker ");
    hk_buf_put_u64(out, r->worker);
    hk_buf_puts(out, " core ");
    hk_buf_put_u64(out, r->core);
    hk_buf_putc(out, '\n');
}

hk_slice hk_inflight_trace(const hk_inflight *r, hk_slice span_id, hk_pool *pool)
{
    hk_json j;
    hk_buf b;

    if (r->trace.trace_id[0] == '\0')
        return hk_slice_make("", 0);
    hk_buf_init(&b, 1024);
    hk_json_init(&j, &b);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "trace_id", hk_slice_of(r->trace.trace_id), 32);
    hk_json_pair(&j, "span_id", span_id, 16);
    hk_json_pair(&j, "parent_span_id", hk_slice_of(r->trace.parent), 16);
    hk_json_close(&j, '}');
    return keep(&b, pool);
}

hk_slice hk_inflight_user(hk_slice given, hk_slice vars, int send_pii, hk_pool *pool)
{
    hk_slice rest = vars, name, value, user = { "", 0 }, address = { "", 0 };
    hk_json j;
    hk_buf b;

    if (given.n > 0 && given.p[0] == '{' && hk_jsonread_skip(given, 0) == given.n)
        return hk_pool_keep(pool, given);
    while (hk_packet_next_pair(&rest, &name, &value) == 1) {
        if (hk_slice_is(name, "REMOTE_USER"))
            user = value;
        else if (hk_slice_is(name, "REMOTE_ADDR"))
            address = value;
    }
    if (user.n == 0 || !send_pii)
        return hk_slice_make("", 0);
    hk_buf_init(&b, 8192);
    hk_json_init(&j, &b);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "id", user, HK_EVENT_MAX_TAG);
    hk_json_pair(&j, "ip_address", address, 64);
    hk_json_close(&j, '}');
    return keep(&b, pool);
}
