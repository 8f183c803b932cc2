/* dsn.h: reads a DSN, the address and key of a Sentry project. */
#ifndef HK_DSN_H
#define HK_DSN_H

#include "buf.h"

#define HK_DSN_MAX 1024 /* bytes; a state file's key and a header line must hold it */

typedef struct hk_dsn {
    hk_slice scheme; /* as written; compare with hk_dsn_scheme */
    hk_slice public_key;
    hk_slice secret; /* empty: none */
    hk_slice host;   /* IPv6 without its brackets */
    hk_slice port;   /* digits as written; empty: the scheme's default */
    hk_slice path;   /* what stands before the project, leading slash, no trailing one; may be empty */
    hk_slice project;
    int bracketed;   /* the host is an IPv6 address */
} hk_dsn;

typedef enum hk_dsn_scheme_id { HK_DSN_HTTP, HK_DSN_HTTPS, HK_DSN_UDP } hk_dsn_scheme_id;

/* Parse scheme://public[:secret]@host[:port][/path]/project.
 *
 * The rules are those of tests/data/dsn.tsv. Allocates nothing: every slice in
 * *out points into text. Returns HK_OK, or HK_ERR_SYNTAX and leaves *out
 * zeroed; *reason (if not NULL) is then a static string naming the rule
 * broken. It never quotes text: text holds a key.
 */
hk_status hk_dsn_parse(hk_slice text, hk_dsn *out, const char **reason);

hk_dsn_scheme_id hk_dsn_scheme(const hk_dsn *dsn);
unsigned hk_dsn_port(const hk_dsn *dsn); /* the scheme's default when none is written */

/* Append the text form without the secret: it names the DSN in state/ and in
 * the header of what goes over the wire. With secret != 0: the full form. */
void hk_dsn_put(const hk_dsn *dsn, int secret, hk_buf *out);

/* Append the URL that endpoint ("envelope" or "store") of this project has. */
void hk_dsn_put_url(const hk_dsn *dsn, const char *endpoint, hk_buf *out);

#endif
