/* entry.c: the four entry points: alarm, hook, internal routing action, exception handler.
 *
 * Each writes a file into the spool and returns; none opens a connection.
 */
#include "../core/ownlines.h"
#include "../core/packet.h"
#include "../core/template.h"
#include "../server/handler.h"
#include "../server/server_spool.h"
#include "../watch/alarm.h"
#include "../watch/deaths.h"
#include "glue.h"

/* A route's handler; its options are read once the whole ini is. */
typedef struct route_handler {
    hk_handler handler;
    const char *text;
    struct route_handler *next;
} route_handler;

static route_handler *routes;
static int checked; /* the whole ini is read */

/* What somebody else reports is counted, and not reported twice. */
static void count_double(void)
{
    hk_spool *spool = hk_server_spool_get();

    if (spool == NULL)
        return;
    hk_ledger_add(&spool->ledger, HK_COUNT_CAPTURED, 1);
    hk_ledger_add(&spool->ledger, HK_COUNT_EVENT_PROCESSOR, 1);
}

/* ---- alarm ---- */

static void alarm_init(struct uwsgi_alarm_instance *instance)
{
    hk_handler *h = uwsgi_calloc(sizeof *h);

    hk_handler_configure(h, "alarm", instance->arg);
    instance->data_ptr = h;
}

/* Whatever alarm-log looks for, what the plugin itself logs raises no alarm of it: with debug=1 each event logs a line. */
static void alarm_raise(struct uwsgi_alarm_instance *instance, char *message, size_t n)
{
    const hk_handler *h = instance->data_ptr;
    hk_capture_facts facts;
    hk_pool pool;
    hk_buf others;

    memset(&facts, 0, sizeof facts);
    hk_pool_init(&pool);
    facts.message = hk_slice_make(message, n);
    hk_buf_init(&others, HK_EVENT_MAX_BYTES);
    if (hk_ownlines_drop(facts.message, &others) > 0)
        facts.message = hk_buf_slice(&others);
    if (hk_deaths_reports_crash(facts.message)) {
        count_double();
    } else if (facts.message.n > 0 || n == 0) {
        hk_alarm_describe(instance->name, h->options.protocol, &pool, &facts);
        hk_handler_report(h, &facts);
    }
    hk_pool_free(&pool);
    hk_buf_free(&others);
}

/* ---- hook ---- */

/* Always 0: any other value destroys the instance. */
static int hook(char *arg)
{
    hk_capture_facts facts;
    hk_handler h;

    memset(&facts, 0, sizeof facts);
    memset(&h, 0, sizeof h);
    hk_handler_configure(&h, "hook", arg);
    facts.message = hk_slice_of("uWSGI hook");
    hk_handler_report(&h, &facts);
    hk_options_free(&h.options);
    return 0;
}

/* ---- internal routing action ---- */

#ifdef UWSGI_ROUTING
typedef struct routing {
    struct wsgi_request *request;
    struct uwsgi_route *route;
} routing;

/* What the route's regular expression was matched with: groups refer to it. */
static hk_slice subject(const routing *r)
{
    int core = r->request->async_id;
    char **text;
    uint16_t *n;

    if (r->route->condition_ub != NULL && r->route->condition_ub[core] != NULL)
        return hk_slice_make(r->route->condition_ub[core]->buf, r->route->condition_ub[core]->pos);
    if (r->route->if_func != NULL || r->route->subject == 0)
        return hk_slice_make("", 0);
    text = (char **)(void *)((char *)r->request + r->route->subject);
    n = (uint16_t *)(void *)((char *)r->request + r->route->subject_len);
    return hk_slice_make(*text, *n);
}

static void put_group(const routing *r, hk_slice piece, hk_buf *out)
{
    hk_slice s = subject(r);
    int core = r->request->async_id;
    char *text;

    if (s.n == 0 || r->route->ovector == NULL || r->route->ovector[core] == NULL)
        return;
    text = uwsgi_regexp_apply_ovec((char *)s.p, (int)s.n, (char *)piece.p, (int)piece.n, r->route->ovector[core],
                                   r->route->ovn[core]);
    hk_buf_puts(out, text);
    free(text);
}

static void put_variable(const routing *r, hk_slice piece, hk_buf *out)
{
    struct uwsgi_buffer *ub = uwsgi_routing_translate(r->request, r->route, NULL, 0, (char *)piece.p, piece.n);

    if (ub == NULL)
        return;
    hk_buf_put(out, ub->buf, ub->pos);
    uwsgi_buffer_destroy(ub);
}

static hk_slice expand(void *ctx, hk_slice value, hk_pool *pool)
{
    hk_template_kind kind;
    hk_slice piece, kept;
    hk_buf out;

    hk_buf_init(&out, HK_EVENT_MAX_BYTES);
    while (hk_template_next(&value, &kind, &piece)) {
        if (kind == HK_TEMPLATE_GROUP)
            put_group(ctx, piece, &out);
        else if (kind == HK_TEMPLATE_VARIABLE)
            put_variable(ctx, piece, &out);
        else
            hk_buf_slice_put(&out, piece);
    }
    kept = hk_pool_keep(pool, hk_buf_slice(&out));
    hk_buf_free(&out);
    return kept;
}

static int route_run(struct wsgi_request *request, struct uwsgi_route *route)
{
    routing r = { request, route };
    hk_capture_facts facts;

    memset(&facts, 0, sizeof facts);
    facts.message = hk_slice_of("uWSGI route");
    facts.vars = hk_slice_make(request->buffer, request->uh->pktsize);
    facts.expand = expand;
    facts.expand_ctx = &r;
    hk_handler_report(route->data2, &facts);
    return UWSGI_ROUTE_NEXT;
}

/* A route that uwsgi.route() in an application makes for one call. */
static void free_route(struct uwsgi_route *route)
{
    hk_handler *h = route->data2;

    hk_options_free(&h->options);
    free(h);
    free(route->condition_ub);
}

static int route_init(struct uwsgi_route *route, char *args)
{
    route_handler *h = uwsgi_calloc(sizeof *h);

    route->func = route_run;
    route->data = args;
    route->data_len = strlen(args);
    route->data2 = &h->handler; /* its first member */
    if (checked) {
        route->free = free_route;
        route->condition_ub = uwsgi_calloc((size_t)uwsgi.cores * sizeof *route->condition_ub); /* uWSGI looks into it */
        hk_handler_configure(&h->handler, "route", args);
        return 0;
    }
    /* sentry-dsn may stand further down in the ini: the options are read in hk_entry_check. */
    h->text = args;
    h->next = routes;
    routes = h;
    return 0;
}
#endif

/* ---- exception handler ---- */

/* uWSGI gives each handler a packet of its own of every exception: each drops what the middleware reported. */
typedef struct exception_handler {
    hk_handler handler;
    int number;
} exception_handler;

static int exception_handlers;

static int exception(struct uwsgi_exception_handler_instance *instance, char *packet, size_t n)
{
    const exception_handler *own = instance->custom_ptr;
    hk_packet_exception e;
    hk_capture_facts facts;

    hk_packet_read_exception(hk_slice_make(packet, n), &e);
    if (own == NULL)
        return 0; /* hk_entry_check did not see it */
    if (hk_reported_take(own->number, e.worker, e.type, e.message)) {
        count_double();
        return 0;
    }
    memset(&facts, 0, sizeof facts);
    facts.message = e.repr;
    facts.exception_type = e.type;
    facts.exception_value = e.message;
    facts.backtrace = e.backtrace;
    facts.vars = e.vars;
    facts.mechanism = "uwsgi.exception_handler";
    hk_handler_report(&own->handler, &facts);
    return 0;
}

void hk_entry_check(void)
{
    struct uwsgi_string_list *item;
    exception_handler *h;
    route_handler *r;

    checked = 1;
    for (r = routes; r != NULL; r = r->next)
        hk_handler_configure(&r->handler, "route", r->text);
    for (item = uwsgi.exception_handlers_instance; item != NULL; item = item->next) {
        struct uwsgi_exception_handler_instance *instance = item->custom_ptr;
        if (instance == NULL || instance->handler->func != exception || instance->custom_ptr != NULL)
            continue;
        h = uwsgi_calloc(sizeof *h);
        h->number = exception_handlers++;
        hk_handler_configure(&h->handler, "exception-handler", instance->arg == NULL ? "" : instance->arg);
        instance->custom_ptr = h;
        instance->configured = 1;
    }
}

int hk_entry_exception_handlers(void)
{
    return exception_handlers;
}

void hk_entry_register(void)
{
    uwsgi_register_alarm("sentry", alarm_init, alarm_raise);
    uwsgi_register_hook("sentry", hook);
#ifdef UWSGI_ROUTING
    uwsgi_register_router("sentry", route_init);
#endif
    uwsgi_register_exception_handler("sentry", exception);
}
