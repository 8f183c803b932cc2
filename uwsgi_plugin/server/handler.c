#include "handler.h"

#include "../edge/sys.h"
#include "server_spool.h"
#include "settings.h"

void hk_handler_configure(hk_handler *h, const char *kind, const char *text)
{
    const char *words;
    hk_buf why;

    hk_buf_init(&why, 1024);
    if (hk_options_parse(hk_slice_of(text), hk_settings.dsn, &h->options, &why) != HK_OK) {
        words = hk_buf_text(&why);
        h->off = 1;
        hk_sys_log("[sentry] %s: %s; this handler is off", kind, words == NULL || *words == '\0' ? "memory" : words);
    }
    hk_buf_free(&why);
}

int hk_handler_report(const hk_handler *h, hk_capture_facts *facts)
{
    hk_capture_defaults defaults;
    hk_spool *spool;

    if (h == NULL || h->off)
        return 0;
    spool = hk_server_spool_get();
    if (spool == NULL)
        return 0;
    defaults.server_name = hk_slice_make(uwsgi.hostname, (size_t)uwsgi.hostname_len);
    defaults.release = hk_slice_of(hk_settings.release);
    defaults.environment = hk_slice_of(hk_settings.environment);
    defaults.ca = hk_slice_of(hk_settings.ca == NULL ? "" : hk_settings.ca);
    defaults.proxy = hk_slice_of(hk_settings.proxy == NULL ? "" : hk_settings.proxy);
    defaults.scrub = hk_settings.scrub;
    return hk_capture_event(spool, &h->options, &defaults, facts, NULL);
}
