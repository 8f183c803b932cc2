#include "wire.h"

#include "event.h"
#include "json.h"

static void init(hk_wire *w)
{
    memset(w, 0, sizeof *w);
    hk_buf_init(&w->url, 4096);
    hk_buf_init(&w->auth, 4096);
    hk_buf_init(&w->body, HK_ENVELOPE_MAX_BYTES + 8192);
    hk_buf_init(&w->ca, HK_ENVELOPE_MAX_WAY + 1);
    hk_buf_init(&w->proxy, HK_ENVELOPE_MAX_WAY + 1);
}

static void set_way(const hk_envelope_hk *way, hk_wire *w)
{
    w->no_verify = way->no_verify;
    w->has_ca = way->ca.p != NULL;
    w->has_proxy = way->proxy.p != NULL;
    hk_buf_slice_put(&w->ca, way->ca);
    hk_buf_slice_put(&w->proxy, way->proxy);
}

static hk_status finish(const hk_wire *w)
{
    return hk_buf_ok(&w->url) && hk_buf_ok(&w->auth) && hk_buf_ok(&w->body) && hk_buf_ok(&w->ca) && hk_buf_ok(&w->proxy)
        ? HK_OK : HK_ERR_MEMORY;
}

static void put_stamp(uint64_t now_ns, hk_buf *out)
{
    hk_buf_puts(out, "sentry_timestamp=");
    hk_buf_put_u64(out, now_ns / 1000000000U);
    hk_buf_putc(out, '.');
    hk_buf_put_u64_padded(out, now_ns / 10000000U % 100, 2);
}

static void put_keys(const hk_dsn *dsn, int secret, hk_buf *out)
{
    hk_buf_puts(out, ", sentry_key=");
    hk_buf_slice_put(out, dsn->public_key);
    if (secret && dsn->secret.n > 0) {
        hk_buf_puts(out, ", sentry_secret=");
        hk_buf_slice_put(out, dsn->secret);
    }
}

static void put_auth(const hk_envelope *e, int envelope, uint64_t now_ns, hk_wire *w)
{
    hk_buf_puts(&w->auth, "Sentry ");
    if (w->udp) {
        put_stamp(now_ns, &w->auth);
        hk_buf_puts(&w->auth, ", sentry_client=" HK_CLIENT ", sentry_version=");
        hk_buf_putc(&w->auth, e->raven ? '3' : '7');
    } else {
        hk_buf_puts(&w->auth, "sentry_version=");
        hk_buf_putc(&w->auth, e->raven ? '3' : '7');
        hk_buf_puts(&w->auth, ", sentry_client=" HK_CLIENT);
        if (!envelope) {
            hk_buf_puts(&w->auth, ", ");
            put_stamp(now_ns, &w->auth);
        }
    }
    put_keys(&e->dsn, !envelope, &w->auth);
}

static void put_wire_header(const char *event_id, const hk_dsn *dsn, uint64_t now_ns, hk_buf *out)
{
    hk_buf text;
    hk_json j;

    hk_buf_init(&text, HK_DSN_MAX + 16);
    hk_dsn_put(dsn, 0, &text);
    hk_json_init(&j, out);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "event_id", hk_slice_of(event_id), HK_JSON_NO_LIMIT);
    hk_json_pair(&j, "dsn", hk_buf_slice(&text), HK_JSON_NO_LIMIT);
    hk_buf_puts(out, ",\"sent_at\":\"");
    hk_event_put_time(now_ns, 1, out);
    hk_buf_puts(out, "\"}\n");
    if (!hk_buf_ok(&text))
        out->failed = 1;
    hk_buf_free(&text);
}

hk_status hk_wire_build(const hk_envelope *e, uint64_t now_ns, hk_wire *w)
{
    int envelope = !e->raven && !e->hk.store;

    init(w);
    set_way(&e->hk, w);
    w->udp = hk_dsn_scheme(&e->dsn) == HK_DSN_UDP;
    put_auth(e, envelope && !w->udp, now_ns, w);
    if (w->udp) {
        hk_buf_slice_put(&w->body, hk_buf_slice(&w->auth));
        hk_buf_puts(&w->body, "\n\n");
        hk_buf_slice_put(&w->body, e->payload);
        return finish(w);
    }
    hk_dsn_put_url(&e->dsn, envelope ? "envelope" : "store", &w->url);
    if (envelope) {
        w->content_type = "application/x-sentry-envelope";
        put_wire_header(e->event_id, &e->dsn, now_ns, &w->body);
        hk_buf_slice_put(&w->body, e->item);
        hk_buf_putc(&w->body, '\n');
    } else {
        w->content_type = e->raven ? "application/octet-stream" : "application/json";
        hk_buf_slice_put(&w->body, e->payload);
    }
    return finish(w);
}

hk_status hk_wire_build_report(const hk_dsn *dsn, const hk_envelope_hk *way, const hk_wire_discard *discards, size_t n,
                               uint64_t now_ns, hk_wire *w)
{
    hk_buf item;
    hk_json j;
    size_t i;

    init(w);
    set_way(way, w);
    hk_buf_init(&item, 65536);
    hk_json_init(&j, &item);
    hk_json_open(&j, '{');
    hk_json_key(&j, hk_slice_of("timestamp"), HK_JSON_NO_LIMIT);
    hk_buf_putc(&item, '"');
    hk_event_put_time(now_ns, 1, &item);
    hk_buf_putc(&item, '"');
    j.comma = 1;
    hk_json_key(&j, hk_slice_of("discarded_events"), HK_JSON_NO_LIMIT);
    hk_json_open(&j, '[');
    for (i = 0; i < n; i++) {
        hk_json_open(&j, '{');
        hk_json_pair(&j, "reason", hk_slice_of(discards[i].reason), HK_JSON_NO_LIMIT);
        hk_json_pair(&j, "category", hk_slice_of("error"), HK_JSON_NO_LIMIT);
        hk_json_key(&j, hk_slice_of("quantity"), HK_JSON_NO_LIMIT);
        hk_json_u64(&j, discards[i].quantity);
        hk_json_close(&j, '}');
    }
    hk_json_close(&j, ']');
    hk_json_close(&j, '}');
    hk_buf_puts(&w->auth, "Sentry sentry_version=7, sentry_client=" HK_CLIENT);
    put_keys(dsn, 0, &w->auth);
    hk_dsn_put_url(dsn, "envelope", &w->url);
    w->content_type = "application/x-sentry-envelope";
    put_wire_header("", dsn, now_ns, &w->body);
    hk_buf_puts(&w->body, "{\"type\":\"client_report\",\"length\":");
    hk_buf_put_u64(&w->body, item.len);
    hk_buf_puts(&w->body, "}\n");
    hk_buf_slice_put(&w->body, hk_buf_slice(&item));
    hk_buf_putc(&w->body, '\n');
    if (!hk_buf_ok(&item))
        w->body.failed = 1;
    hk_buf_free(&item);
    return finish(w);
}

void hk_wire_free(hk_wire *w)
{
    if (w == NULL)
        return;
    if (w->auth.data != NULL)
        hk_buf_wipe(w->auth.data, w->auth.len);
    hk_buf_free(&w->url);
    hk_buf_free(&w->auth);
    hk_buf_free(&w->body);
    hk_buf_free(&w->ca);
    if (w->proxy.data != NULL)
        hk_buf_wipe(w->proxy.data, w->proxy.len); /* a password */
    hk_buf_free(&w->proxy);
}
