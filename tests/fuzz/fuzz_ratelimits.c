/* Invariant: whatever the headers, a pause is -1 or between 0 and 24 hours, a 429 always pauses, and a redirect is
 * followed only to the same host and never from TLS to plain. */
#include "../../uwsgi_plugin/core/policy.h"

#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int good(double s)
{
    return s >= -1 && s <= HK_POLICY_MAX_PAUSE_S && (s < 0 ? s > -1.5 : 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_slice all = { (const char *)data, size };
    size_t half = size / 2;
    static const char start[] = "https://sentry.example";
    hk_policy_pause p;
    hk_buf target;
    int status;

    for (status = 200; status <= 429; status += 229) {
        p = hk_policy_limits(status, hk_slice_make(all.p, half), hk_slice_from(all, half), 1700000000);
        if (!good(p.all_s) || !good(p.error_s) || (status == 429 && p.all_s < 1 && p.error_s < 1))
            abort();
    }
    hk_buf_init(&target, 1 << 20);
    if (hk_policy_reply(308, all, hk_slice_of("https://sentry.example/api/"), 0, 0, 0, &target).action == HK_FOLLOW) {
        hk_slice t = hk_buf_slice(&target);
        size_t end, n = sizeof start - 1;
        if (t.n < n || strncasecmp(t.p, start, n) != 0)
            abort();
        for (end = n; end < t.n && strchr("/?#", t.p[end]) == NULL; end++)
            if (t.p[end] == '@' || t.p[end] == '\\' || (end == n && t.p[end] != ':'))
                abort();
    }
    hk_buf_free(&target);
    return 0;
}
