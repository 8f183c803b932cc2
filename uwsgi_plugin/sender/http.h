/* http.h: the transport on libcurl's multi interface. Use it in the sender's process only. */
#ifndef HK_HTTP_H
#define HK_HTTP_H

#include "transport.h"

typedef struct hk_http_options {
    const char *ca_file; /* NULL: the system's certificates */
    const char *proxy;   /* NULL: $http_proxy and so on, as libcurl reads them */
    unsigned connections; /* kept alive and used at once */
} hk_http_options;

typedef struct hk_http hk_http;

/* NULL when libcurl or memory refuses. */
hk_http *hk_http_new(const hk_http_options *options);
void hk_http_free(hk_http *h);
hk_transport hk_http_transport(hk_http *h);

#endif
