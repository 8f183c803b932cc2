/* trace.h: the trace that a request belongs to, from its headers, as middleware/trace.py reads it. */
#ifndef HK_TRACE_H
#define HK_TRACE_H

#include "hk.h"

typedef struct hk_trace {
    char trace_id[33]; /* 32 hex digits; empty: none */
    char parent[17];   /* the caller's span; empty: not told */
} hk_trace;

/* Read sentry-trace, else W3C's traceparent, else the baggage, from uWSGI's variables. */
void hk_trace_read(hk_slice vars, hk_trace *out);

#endif
