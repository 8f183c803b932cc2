#include "names.h"

#include "../core/buf.h"
#include "../edge/sys.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define HOST_MAX 256U
#define PLACES 64U /* lookups that are remembered or under way; what finds no place waits for one */
#define STACK_BYTES (512U << 10)

typedef struct lookup {
    atomic_int owners; /* the thread and hk_names; the last frees it */
    atomic_int answer; /* hk_names_answer; what follows is the thread's until it is not ASKED */
    uint64_t ended_ms;
    hk_addresses found;
    uint64_t began_ms;
    char host[HOST_MAX];
} lookup;

struct hk_names {
    lookup *places[PLACES];
};

static void leave(lookup *l)
{
    if (l != NULL && atomic_fetch_sub(&l->owners, 1) == 1)
        hk_buf_release(l);
}

static void look_up(lookup *l, int flags)
{
    struct addrinfo hints, *list = NULL, *a;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_DGRAM; /* any one: each address once */
    hints.ai_flags = flags;
    if (getaddrinfo(l->host, NULL, &hints, &list) != 0)
        list = NULL;
    for (a = list; a != NULL && l->found.count < HK_NAMES_ADDRESSES; a = a->ai_next) {
        if (a->ai_addrlen > sizeof l->found.list[0])
            continue;
        memcpy(&l->found.list[l->found.count], a->ai_addr, a->ai_addrlen);
        l->found.sizes[l->found.count++] = a->ai_addrlen;
    }
    if (list != NULL)
        freeaddrinfo(list);
    l->ended_ms = hk_sys_monotonic_ms();
    atomic_store(&l->answer, l->found.count > 0 ? HK_NAMES_FOUND : HK_NAMES_FAILED);
}

static void *look_up_and_leave(void *l)
{
    look_up(l, 0);
    leave(l);
    return NULL;
}

/* 0, or -1: the system gives no thread. */
static int start_thread(lookup *l)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    pthread_t thread;
    int rc;

    if (pthread_attr_init(&attributes) != 0)
        return -1;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the loop */
    atomic_fetch_add(&l->owners, 1);
    rc = pthread_create(&thread, &attributes, look_up_and_leave, l);
    if (rc != 0)
        atomic_fetch_sub(&l->owners, 1);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return rc == 0 ? 0 : -1;
}

static lookup *begin(const char *host)
{
    size_t size = strlen(host);
    lookup *l = size < HOST_MAX ? hk_buf_alloc(sizeof *l) : NULL;

    if (l == NULL)
        return NULL;
    memcpy(l->host, host, size + 1);
    l->began_ms = hk_sys_monotonic_ms();
    atomic_init(&l->owners, 1);
    atomic_init(&l->answer, HK_NAMES_ASKED);
    look_up(l, AI_NUMERICHOST); /* asks nobody */
    if (l->found.count > 0)
        return l;
    atomic_store(&l->answer, HK_NAMES_ASKED);
    if (start_thread(l) == 0)
        return l;
    leave(l);
    return NULL;
}

int hk_names_is_numeric(const char *host)
{
    struct addrinfo hints, *list = NULL;

    memset(&hints, 0, sizeof hints);
    hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return 0;
    freeaddrinfo(list);
    return 1;
}

/* The place of host, else one that is free, else that of the answer that came first; NULL: all are under way. */
static lookup **place_of(hk_names *n, const char *host)
{
    lookup **best = NULL;
    unsigned i;

    for (i = 0; i < PLACES; i++)
        if (n->places[i] != NULL && strcmp(n->places[i]->host, host) == 0)
            return &n->places[i];
    for (i = 0; i < PLACES; i++) {
        lookup *l = n->places[i];
        if (l == NULL)
            return &n->places[i];
        if (atomic_load(&l->answer) != HK_NAMES_ASKED && (best == NULL || l->ended_ms < (*best)->ended_ms))
            best = &n->places[i];
    }
    return best;
}

hk_names_answer hk_names_ask(hk_names *n, const char *host, uint64_t since_ms, const hk_addresses **found)
{
    lookup **place = place_of(n, host), *l;
    int answer;

    if (place == NULL)
        return HK_NAMES_ASKED;
    l = *place;
    if (l != NULL && strcmp(l->host, host) == 0) {
        answer = atomic_load(&l->answer);
        if (answer == HK_NAMES_ASKED)
            return HK_NAMES_ASKED;
        if (answer == HK_NAMES_FAILED && l->began_ms >= since_ms)
            return HK_NAMES_FAILED;
        if (answer == HK_NAMES_FOUND && hk_sys_monotonic_ms() - l->ended_ms < HK_NAMES_LIFE_MS) {
            *found = &l->found;
            return HK_NAMES_FOUND;
        }
    }
    leave(l);
    l = *place = begin(host);
    if (l == NULL)
        return HK_NAMES_FAILED;
    answer = atomic_load(&l->answer);
    if (answer == HK_NAMES_FOUND)
        *found = &l->found;
    return (hk_names_answer)answer;
}

hk_names *hk_names_new(void)
{
    return hk_buf_alloc(sizeof(hk_names));
}

void hk_names_free(hk_names *n)
{
    unsigned i;

    for (i = 0; n != NULL && i < PLACES; i++)
        leave(n->places[i]);
    hk_buf_release(n);
}
