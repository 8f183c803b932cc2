/* sys.h: the clock, random ids and the log, for everything outside core/. */
#ifndef HK_SYS_H
#define HK_SYS_H

#include "../core/buf.h"

uint64_t hk_sys_now_ns(void);       /* Unix time */
uint64_t hk_sys_monotonic_ms(void);

/* 32 random hex digits and a NUL. Falls back on time and pid when the kernel has no random bytes: ids must differ,
 * they need not be secret. */
void hk_sys_event_id(char out[33]);
double hk_sys_jitter(void); /* 0 to 1 */

/* Where log lines go: whole lines without a newline; default: stderr. */
void hk_sys_set_log(void (*log)(const char *line));
void hk_sys_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, at most once a minute for each place that owns a *last (0 at first). errno is kept. */
void hk_sys_log_sparingly(uint64_t *last_ms, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
