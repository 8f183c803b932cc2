/* metrics.c: the ledger's counters in uWSGI's metrics, for uwsgitop and the stats server. */
#include "glue.h"

#include "../edge/ledgers.h"
#include "../edge/sys.h"
#include "../server/server_spool.h"

#define FRESH_MS 900U /* the collector's thread asks for every metric once a second */
#define PENDING HK_COUNT_END

static uint64_t counts[HK_LEDGER_SLOTS]; /* used by the collector's thread only */
static uint64_t read_ms;

static int64_t collect(struct uwsgi_metric *metric)
{
    uintptr_t which = (uintptr_t)metric->custom;
    uint64_t now = hk_sys_monotonic_ms();
    hk_spool *spool = hk_server_spool_get();

    if (spool == NULL)
        return -metric->initial_value;
    if (read_ms == 0 || now - read_ms >= FRESH_MS) {
        (void)hk_ledgers_sum(spool->ledger_fd, counts);
        read_ms = now;
    }
    /* uWSGI adds what it restored from metrics-dir: of a ledger that outlived the server as well that is too much. */
    return (int64_t)(which == PENDING ? hk_ledger_pending(counts) : counts[which]) - metric->initial_value;
}

static void add(const char *name, unsigned which, uint8_t type)
{
    char full[80], oid[32];

    snprintf(full, sizeof full, "sentry.%s", name);
    snprintf(oid, sizeof oid, "4.200.%u", which);
    uwsgi_register_metric(full, oid, type, "sentry", NULL, 0, (void *)(uintptr_t)which);
}

void hk_metrics_register(void)
{
    unsigned i;

    if (!uwsgi.has_metrics)
        return;
    uwsgi_register_metric_collector("sentry", collect);
    add("captured", HK_COUNT_CAPTURED, UWSGI_METRIC_COUNTER);
    add("delivered", HK_COUNT_DELIVERED, UWSGI_METRIC_COUNTER);
    add("pending", PENDING, UWSGI_METRIC_GAUGE);
    for (i = HK_COUNT_DISCARDED_FIRST; i <= HK_COUNT_DISCARDED_LAST; i++)
        add(hk_ledger_name((hk_count)i), i, UWSGI_METRIC_COUNTER);
}
