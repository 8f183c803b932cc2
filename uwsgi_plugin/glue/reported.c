/* reported.c: what the middleware reported is not reported again by the exception handler.
 *
 * The worker tells class and message of what it reported by uwsgi.call; the
 * exception handler, a thread of the master, looks it up in shared memory.
 */
#include "glue.h"

#include "../core/ring.h"
#include "../server/server_spool.h"
#include "../watch/worker.h"

#include <sys/mman.h>
#include <sys/stat.h>

static hk_ring **rings; /* by worker number and handler; the pointers are set before any fork */
static int workers, handlers;

void hk_reported_share(int wanted)
{
    size_t cores = uwsgi.cores > 0 ? (size_t)uwsgi.cores : 1, bytes = hk_ring_bytes(cores), n, i;

    handlers = wanted > 0 ? wanted : 1;
    workers = uwsgi.numproc;
    n = ((size_t)workers + 1) * (size_t)handlers;
    rings = uwsgi_calloc(n * sizeof *rings);
    for (i = 0; i < n; i++) {
        rings[i] = uwsgi_calloc_shared(bytes);
        rings[i]->size = cores * HK_RING_SIZE;
    }
}

int hk_reported_take(int handler, uint64_t worker, hk_slice type, hk_slice message)
{
    uint64_t now = (uint64_t)uwsgi_now();
    hk_ring *ring;

    if (rings == NULL || worker > (uint64_t)workers || handler >= handlers)
        return 0;
    ring = rings[worker * (uint64_t)handlers + (uint64_t)handler];
    return hk_ring_take(ring, hk_ring_hash(type, message, 1), now) || hk_ring_take(ring, hk_ring_hash(type, message, 0), now);
}

/* sentry_reported(event_id, class, core[, message]): the core of the request, or an empty text */
static uint64_t reported(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    hk_slice message = hk_slice_make("", 0);
    int i;

    (void)out;
    if (argc < 3 || rings == NULL || uwsgi.mywid < 0 || uwsgi.mywid > workers)
        return 0;
    if (argc > 3)
        message = hk_slice_make(argv[3], argvs[3]);
    for (i = 0; i < handlers; i++)
        hk_ring_add(rings[uwsgi.mywid * handlers + i], hk_ring_hash(hk_slice_make(argv[1], argvs[1]), message, argc > 3),
                    hk_slice_make(argv[0], argvs[0]), (uint64_t)uwsgi_now());
    if (argvs[2] > 0)
        hk_worker_note_reported(hk_slice_make(argv[2], argvs[2]), hk_slice_make(argv[0], argvs[0]));
    return 0;
}

/* sentry_spool(): "device inode path" of the spool that this server sends; nothing where it has none. */
static uint64_t spool(uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    hk_spool *s = hk_server_spool_get();
    struct stat st;
    int n;

    (void)argc;
    (void)argv;
    (void)argvs;
    if (s == NULL || fstat(s->root_fd, &st) != 0)
        return 0;
    n = asprintf(out, "%llu %llu %s", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, s->path);
    return n > 0 ? (uint64_t)n : 0;
}

typedef uint64_t (*rpc_function)(uint8_t argc, char **argv, uint16_t *argvs, char **out);

uint64_t hk_reported_rpc(void *func, uint8_t argc, char **argv, uint16_t *argvs, char **out)
{
    rpc_function f;

    memcpy(&f, &func, sizeof f); /* ISO C has no cast from an object pointer to a function's */
    return f(argc, argv, argvs, out);
}

void hk_reported_register(struct uwsgi_plugin *plugin)
{
    rpc_function functions[2] = { reported, spool };
    void *func;

    memcpy(&func, &functions[0], sizeof func);
    uwsgi_register_rpc("sentry_reported", plugin, 4, func);
    memcpy(&func, &functions[1], sizeof func);
    uwsgi_register_rpc("sentry_spool", plugin, 0, func);
}
