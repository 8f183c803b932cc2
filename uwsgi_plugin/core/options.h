/* options.h: reads the options of one handler: "key=value,key=value".
 *
 * A value may stand in double quotes: message="a, b". Unquoted, \, is a comma;
 * \" a quote, \\ a backslash; any other backslash pair stays as it is, and a
 * quote inside an unquoted value is literal. A key without "=" has the value
 * "1". Spaces around keys are taken off. The last of two equal keys counts.
 */
#ifndef HK_OPTIONS_H
#define HK_OPTIONS_H

#include "buf.h"

typedef enum hk_option {
    HK_OPT_DSN, HK_OPT_LEVEL, HK_OPT_LOGGER, HK_OPT_MESSAGE, HK_OPT_PLATFORM, HK_OPT_CULPRIT, HK_OPT_SERVER_NAME,
    HK_OPT_RELEASE, HK_OPT_EXCEPTION_TYPE, HK_OPT_EXCEPTION_VALUE, HK_OPT_NO_VERIFY, HK_OPT_DEBUG, HK_OPT_TAGS,
    HK_OPT_EXTRA, HK_OPT_TIMEOUT, HK_OPT_ENVIRONMENT, HK_OPT_FINGERPRINT, HK_OPT_PROTOCOL, HK_OPT_API, HK_OPT_COUNT
} hk_option;

typedef struct hk_options {
    char *values[HK_OPT_COUNT]; /* owned, NUL terminated; NULL: not given */
    int no_verify;
    int debug;
    int protocol;       /* 7 or 3 */
    int store;          /* api = store */
    unsigned timeout_s; /* 0: the sender's own */
} hk_options;

#define HK_OPTIONS_MAX_TIMEOUT_S 300U

/* Parse and check text into *out (freed with hk_options_free either way).
 *
 * Returns HK_OK; or HK_ERR_SYNTAX and appends to why one line that names the
 * key and the rule, never the value of dsn; or HK_ERR_MEMORY.
 * default_dsn (may be NULL) is used when the text names none. A dsn, no_verify
 * or timeout with "${" is refused: they never take request variables.
 */
hk_status hk_options_parse(hk_slice text, const char *default_dsn, hk_options *out, hk_buf *why);
void hk_options_free(hk_options *o);

hk_slice hk_options_get(const hk_options *o, hk_option which); /* empty: not given */

/* Whether word is one of Sentry's five levels. */
int hk_options_is_level(hk_slice word);

/* Take the next "key:value" off *rest (separator ';', "\;" and "\:" are
 * literal) into key and value, unescaped into out-buffers. A part without a
 * colon gets the value "true" (Sentry refuses empty ones). Returns 0 at the end.
 */
int hk_options_next_pair(hk_slice *rest, hk_buf *key, hk_buf *value);

/* The same for a plain list: the next item between ';'. */
int hk_options_next_item(hk_slice *rest, hk_buf *item);

#endif
