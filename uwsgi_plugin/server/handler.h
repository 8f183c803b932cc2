/* handler.h: the options of one alarm, hook, route or exception handler, and the events made with them. */
#ifndef HK_HANDLER_H
#define HK_HANDLER_H

#include "../edge/capture.h"

typedef struct hk_handler {
    hk_options options;
    int off; /* its options are wrong: said once */
} hk_handler;

/* Parse text into h; a mistake is logged in one line and turns the handler off. */
void hk_handler_configure(hk_handler *h, const char *kind, const char *text);

/* One event into the spool of this server. 0; -1: lost, counted and logged. */
int hk_handler_report(const hk_handler *h, hk_capture_facts *facts);

#endif
