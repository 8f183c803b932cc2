/* start.c: one line that says what this server will do, once its sender is there. */
#include "glue.h"

#include "../edge/sys.h"
#include "../server/server_spool.h"
#include "../watch/master.h"

#define PATIENCE_MS 3000U /* for a sender to start */

void hk_start_tell(void)
{
    static int told;
    static uint64_t first_ms;
    const char *words;
    hk_spool *spool;
    pid_t sender;
    hk_buf line;

    if (told)
        return;
    spool = hk_server_spool_get();
    sender = hk_gateway_sender();
    if (first_ms == 0)
        first_ms = hk_sys_monotonic_ms();
    if (sender == 0 && hk_sys_monotonic_ms() - first_ms < PATIENCE_MS)
        return;
    told = 1;
    if (spool == NULL)
        return; /* that was said */
    hk_buf_init(&line, 16384);
    hk_master_describe(&line);
    hk_buf_puts(&line, "; spool ");
    hk_buf_puts(&line, spool->path);
    if (sender > 0) {
        hk_buf_puts(&line, "; sender pid ");
        hk_buf_put_u64(&line, (uint64_t)sender);
    } else {
        hk_buf_puts(&line, sender == 0 ? "; the sender did not start yet" : "; no sender (heka-raven send delivers)");
    }
    words = hk_buf_text(&line);
    if (words != NULL)
        hk_sys_log("[sentry] %s", words);
    hk_buf_free(&line);
}
