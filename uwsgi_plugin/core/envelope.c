#include "envelope.h"

#include "json.h"
#include "jsonread.h"

static int is_said(hk_slice way)
{
    return way.p != NULL && way.n <= HK_ENVELOPE_MAX_WAY;
}

static void put_hk(const hk_envelope_hk *hk, hk_json *j)
{
    if (!hk->no_verify && !hk->debug && !hk->store && hk->timeout_s == 0 && !is_said(hk->ca) && !is_said(hk->proxy))
        return;
    hk_json_key(j, hk_slice_of("hk"), HK_JSON_NO_LIMIT);
    hk_json_open(j, '{');
    if (hk->no_verify) {
        hk_json_key(j, hk_slice_of("no_verify"), HK_JSON_NO_LIMIT);
        hk_json_bool(j, 1);
    }
    if (hk->timeout_s > 0) {
        hk_json_key(j, hk_slice_of("timeout_s"), HK_JSON_NO_LIMIT);
        hk_json_u64(j, hk->timeout_s);
    }
    if (hk->debug) {
        hk_json_key(j, hk_slice_of("debug"), HK_JSON_NO_LIMIT);
        hk_json_bool(j, 1);
    }
    if (hk->store)
        hk_json_pair(j, "api", hk_slice_of("store"), HK_JSON_NO_LIMIT);
    if (is_said(hk->ca)) {
        hk_json_key(j, hk_slice_of("ca"), HK_JSON_NO_LIMIT);
        hk_json_value(j, hk->ca, HK_JSON_NO_LIMIT);
    }
    if (is_said(hk->proxy)) {
        hk_json_key(j, hk_slice_of("proxy"), HK_JSON_NO_LIMIT);
        hk_json_value(j, hk->proxy, HK_JSON_NO_LIMIT);
    }
    hk_json_close(j, '}');
}

void hk_envelope_put(hk_slice event_id, const hk_dsn *dsn, const hk_envelope_hk *hk, const char *type,
                     hk_slice payload, hk_buf *out)
{
    hk_buf text;
    hk_json j;

    hk_buf_init(&text, HK_DSN_MAX + 16);
    hk_dsn_put(dsn, 1, &text);
    hk_json_init(&j, out);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "event_id", event_id, HK_JSON_NO_LIMIT);
    hk_json_pair(&j, "dsn", hk_buf_slice(&text), HK_JSON_NO_LIMIT);
    put_hk(hk, &j);
    hk_json_close(&j, '}');
    hk_buf_puts(out, "\n{\"type\":\"");
    hk_buf_puts(out, type);
    hk_buf_puts(out, "\",\"length\":");
    hk_buf_put_u64(out, payload.n);
    hk_buf_puts(out, "}\n");
    hk_buf_slice_put(out, payload);
    hk_buf_putc(out, '\n');
    if (!hk_buf_ok(&text))
        out->failed = 1;
    hk_buf_free(&text);
}

static int is_hex(hk_slice s)
{
    size_t i;

    for (i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return 0;
    return 1;
}

int hk_envelope_is_name(hk_slice t, uint64_t *time_ns)
{
    uint64_t ns = 0;
    size_t i;

    if (t.n < 20 + 1 + 1 + 1 + 32 + 4 || t.n > 20 + 1 + 10 + 1 + 32 + 4)
        return 0;
    for (i = 0; i < 20; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return 0;
        ns = ns * 10 + (uint64_t)(t.p[i] - '0'); /* 20 digits may wrap; then it is only very old */
    }
    if (t.p[20] != '-')
        return 0;
    for (i = 21; i < t.n - 37; i++)
        if (t.p[i] < '0' || t.p[i] > '9')
            return 0;
    if (t.p[t.n - 37] != '-' || !is_hex(hk_slice_make(t.p + t.n - 36, 32)) || memcmp(t.p + t.n - 4, ".env", 4) != 0)
        return 0;
    if (time_ns != NULL)
        *time_ns = ns;
    return 1;
}

static int is_true(hk_slice v)
{
    return hk_slice_is(v, "true");
}

/* A text that is no text, or too long, is not said. */
static int read_way(hk_slice value, hk_buf *text, hk_slice *way)
{
    hk_buf_clear(text);
    *way = hk_slice_make(NULL, 0);
    if (hk_jsonread_string(value, text) == HK_OK && hk_buf_text(text) != NULL)
        *way = hk_slice_make(text->data, text->len);
    return 0;
}

static int read_hk(void *ctx, hk_slice key, hk_slice value)
{
    hk_envelope *e = ctx;
    hk_envelope_hk *hk = &e->hk;
    double seconds;

    if (hk_slice_is(key, "ca"))
        return read_way(value, &e->ca_text, &hk->ca);
    if (hk_slice_is(key, "proxy"))
        return read_way(value, &e->proxy_text, &hk->proxy);

    if (hk_slice_is(key, "no_verify"))
        hk->no_verify = is_true(value);
    else if (hk_slice_is(key, "debug"))
        hk->debug = is_true(value);
    else if (hk_slice_is(key, "api"))
        hk->store = hk_slice_is(value, "\"store\"");
    else if (hk_slice_is(key, "timeout_s") && hk_jsonread_number(value, &seconds) == HK_OK)
        hk->timeout_s = seconds >= 3600 ? 3600U : seconds > 0 && seconds < 1 ? 1U : (unsigned)seconds;
    return 0;
}

static int read_header(void *ctx, hk_slice key, hk_slice value)
{
    hk_envelope *e = ctx;

    if (hk_slice_is(key, "event_id")) {
        if (value.n != 34 || value.p[0] != '"' || !is_hex(hk_slice_make(value.p + 1, 32)))
            return -1;
        memcpy(e->event_id, value.p + 1, 32);
        return 0;
    }
    if (hk_slice_is(key, "dsn")) {
        hk_buf_clear(&e->dsn_text);
        return hk_jsonread_string(value, &e->dsn_text) == HK_OK ? 0 : -1;
    }
    if (hk_slice_is(key, "hk")) {
        memset(&e->hk, 0, sizeof e->hk);
        return hk_jsonread_object(value, read_hk, e) == HK_OK ? 0 : -1;
    }
    return 0;
}

typedef struct item_header {
    double length;
    int has_length;
    int is_event;
    int is_raven;
} item_header;

static int read_item_header(void *ctx, hk_slice key, hk_slice value)
{
    item_header *h = ctx;

    if (hk_slice_is(key, "type")) {
        h->is_event = hk_slice_is(value, "\"event\"");
        h->is_raven = hk_slice_is(value, "\"raven\"");
    } else if (hk_slice_is(key, "length")) {
        h->has_length = 1;
        return hk_jsonread_number(value, &h->length) == HK_OK ? 0 : -1;
    }
    return 0;
}

static const char *read_item(hk_slice rest, hk_envelope *out)
{
    item_header h = { 0, 0, 0, 0 };
    const char *start = rest.p;
    hk_slice line = hk_slice_line(&rest);

    if (line.n > HK_ENVELOPE_MAX_HEADER || hk_jsonread_object(line, read_item_header, &h) != HK_OK)
        return "the item's header is not a JSON object";
    if (!h.is_event && !h.is_raven)
        return "the item's type is not event or raven";
    if (h.has_length && (h.length < 0 || h.length > (double)rest.n))
        return "the item is shorter than its length says";
    out->payload = h.has_length ? hk_slice_make(rest.p, (size_t)h.length) : hk_slice_line(&rest);
    if (out->payload.n == 0)
        return "the item is empty";
    out->item = hk_slice_make(start, (size_t)(out->payload.p + out->payload.n - start));
    out->raven = h.is_raven;
    return NULL;
}

static const char *read_file(hk_slice file, hk_envelope *out)
{
    hk_slice rest = file, line = hk_slice_line(&rest);

    if (line.n > HK_ENVELOPE_MAX_HEADER || hk_jsonread_object(line, read_header, out) != HK_OK)
        return "the header line is not a JSON object with good values";
    if (out->event_id[0] == '\0')
        return "event_id is missing";
    if (hk_dsn_parse(hk_buf_slice(&out->dsn_text), &out->dsn, NULL) != HK_OK)
        return "dsn is missing or wrong";
    return read_item(rest, out);
}

hk_status hk_envelope_read(hk_slice file, hk_envelope *out, const char **reason)
{
    const char *wrong;

    memset(out, 0, sizeof *out);
    hk_buf_init(&out->dsn_text, HK_ENVELOPE_MAX_HEADER);
    hk_buf_init(&out->ca_text, HK_ENVELOPE_MAX_WAY + 1); /* a zero byte stands behind */
    hk_buf_init(&out->proxy_text, HK_ENVELOPE_MAX_WAY + 1);
    wrong = read_file(file, out);
    if (reason != NULL)
        *reason = wrong;
    if (wrong == NULL)
        return HK_OK;
    return hk_buf_ok(&out->dsn_text) ? HK_ERR_SYNTAX : HK_ERR_MEMORY;
}

void hk_envelope_free(hk_envelope *e)
{
    if (e == NULL)
        return;
    hk_buf_free(&e->dsn_text);
    hk_buf_free(&e->ca_text);
    if (e->proxy_text.data != NULL)
        hk_buf_wipe(e->proxy_text.data, e->proxy_text.len); /* a password */
    hk_buf_free(&e->proxy_text);
    memset(e, 0, sizeof *e);
}
