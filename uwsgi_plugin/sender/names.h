/* names.h: host names to addresses, apart from the sender's loop. The system's resolver takes no time limit, and a
 * name server that is dead keeps it for half a minute: each lookup is a thread, which nobody waits for. */
#ifndef HK_NAMES_H
#define HK_NAMES_H

#include <sys/socket.h>

#include <stdint.h>

#define HK_NAMES_LIFE_MS 30000U /* an answer is used for so long */
#define HK_NAMES_ADDRESSES 8U

typedef struct hk_names hk_names;

typedef struct hk_addresses {
    struct sockaddr_storage list[HK_NAMES_ADDRESSES]; /* their ports are 0 */
    socklen_t sizes[HK_NAMES_ADDRESSES];
    unsigned count;
} hk_addresses;

typedef enum hk_names_answer { HK_NAMES_ASKED, HK_NAMES_FOUND, HK_NAMES_FAILED } hk_names_answer;

hk_names *hk_names_new(void); /* NULL: memory is short */
void hk_names_free(hk_names *n); /* waits for no lookup: the last to leave frees it */

/* Whether host is an address in numbers: no server is asked for it. */
int hk_names_is_numeric(const char *host);

/* Never waits. ASKED: come again. FOUND: *found is valid until the next call. FAILED: a lookup that began at or after
 * since_ms (monotonic) found nothing, or none could begin; an older failure is no answer, and host is asked for again. */
hk_names_answer hk_names_ask(hk_names *n, const char *host, uint64_t since_ms, const hk_addresses **found);

#endif
