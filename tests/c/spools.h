/* spools.h: spools on a real disk, for the tests of the spool and of the sender. */
#ifndef HK_SPOOLS_H
#define HK_SPOOLS_H

#include "check.h"

#include "../../uwsgi_plugin/edge/capture.h"
#include "../../uwsgi_plugin/edge/ledgers.h"
#include "../../uwsgi_plugin/edge/sys.h"

#define SPOOLS_DSN "http://abc:def@127.0.0.1:9/1"

extern const char *spools_root; /* a directory of this test */
extern char spools_path[128];   /* the spool that was opened last */

void spools_start(void);
int spools_end(void); /* 1: a check failed */
void spools_open(hk_spool *s, uint64_t max_bytes, uint64_t max_count);
int spools_capture(hk_spool *s, const char *options, const char *message);
unsigned spools_files(int fd);

/* captured = delivered + pending + discarded, over all processes. */
void spools_balanced(hk_spool *s, const uint64_t counts[HK_LEDGER_SLOTS]);
void spools_sum(hk_spool *s, uint64_t counts[HK_LEDGER_SLOTS]);

#endif
