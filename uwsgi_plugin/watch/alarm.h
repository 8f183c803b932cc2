/* alarm.h: what an event of uWSGI's own alarms says beside the alarm's text: its name, and the requests that were in flight. */
#ifndef HK_ALARM_H
#define HK_ALARM_H

#include "../edge/capture.h"

/* Add the tag uwsgi.alarm and contexts.uwsgi (protocol 3: extra) to facts, in pool. Message and fingerprint stay: servers group alarms by
 * their text. In any process and thread of uWSGI: it only reads shared memory, and waits for nothing. */
void hk_alarm_describe(const char *name, int protocol, hk_pool *pool, hk_capture_facts *facts);

#endif
