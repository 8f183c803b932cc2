/* Two ways, as docs/adr/0006 measures: libgcc's unwinder, which follows the tables that every library has; and where that ends on
 * a stack that was written over, a look through the rest of it for what a call has left there, from which the tables lead on.
 */
#include "unwind.h"

#include "crash.h"
#include "running.h"

#include "../server/settings.h"

/* _dl_find_object, of glibc 2.35, takes no lock; what a return address looks like is known of these two machines. */
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#if __GLIBC_PREREQ(2, 35)
#define CAN_UNWIND 1
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unwind.h>
#endif
#endif

#ifdef CAN_UNWIND

#define SCAN 32768U      /* bytes of a broken stack that are looked through for one frame */
#define MAX_GUESSED 24U  /* frames that are found in this way */
#define HEADERS 4096U    /* of an image: where its program headers and notes must lie */
#define ROOM 8192U       /* bytes of stack that this needs: 3 KB were measured, 6 with a fault on the way */
#define DEEPEST 300000U  /* frames that are walked: 8 MB of the smallest */
#define OUTER 48U        /* kept of a longer stack, beside the innermost */
#define INNER (HK_NATIVE_FRAMES - OUTER)

typedef struct walk {
    hk_native *out;
    void *context;
    uint64_t start;    /* the instruction from which this walk goes on */
    uintptr_t sp;      /* of the frame that was found last */
    uint32_t deep;     /* frames of the longer stack that are in ring */
    int is_there;      /* past our own frames and the signal's */
    int at_end;        /* of the stack, as it seems */
    uint64_t ring[OUTER];
} walk;

static char program[HK_NATIVE_PATH]; /* the loader does not name it */
static const char *bottoms[2];       /* the images of the first function of a process and of a thread */
static sigjmp_buf back;
static pid_t taker; /* the thread that is in hk_unwind_take; 0: none */
static walk now;

static void read_headers(hk_native_image *image)
{
    const char *start = (const char *)(uintptr_t)image->start;
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    size_t i;

    memcpy(&header, start, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof segment || header.e_phoff > HEADERS
        || header.e_phnum > (HEADERS - header.e_phoff) / sizeof segment)
        return;
    for (i = 0; i < header.e_phnum; i++) {
        memcpy(&segment, start + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_LOAD && segment.p_offset == 0)
            image->vmaddr = segment.p_vaddr;
    }
    for (i = 0; i < header.e_phnum; i++) {
        memcpy(&segment, start + header.e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_NOTE && image->id_size == 0 && segment.p_memsz <= HEADERS && segment.p_vaddr - image->vmaddr < image->size)
            image->id_size = (uint32_t)hk_elf_note_id(hk_slice_make(start + segment.p_vaddr - image->vmaddr, segment.p_memsz),
                                                      segment.p_align, image->id);
    }
}

/* The image that holds the address, noted if it is new; -1: none, or there is no room. */
static int32_t image_of(hk_native *out, uint64_t address)
{
    struct dl_find_object found;
    hk_native_image *image;
    const char *name;
    uint32_t i;
    size_t n;

    if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
        return -1;
    for (i = 0; i < out->image_count; i++)
        if (out->images[i].start == (uint64_t)(uintptr_t)found.dlfo_map_start)
            return (int32_t)i;
    if (i == HK_NATIVE_IMAGES)
        return -1;
    image = &out->images[i];
    memset(image, 0, sizeof *image);
    image->start = (uint64_t)(uintptr_t)found.dlfo_map_start;
    image->size = (uint64_t)((char *)found.dlfo_map_end - (char *)found.dlfo_map_start);
    name = found.dlfo_link_map->l_name;
    if (name == NULL || *name == '\0')
        name = program;
    n = strlen(name) < HK_NATIVE_PATH ? strlen(name) : HK_NATIVE_PATH - 1;
    memcpy(image->path, name, n);
    out->image_count = i + 1; /* before its headers are looked at: that may end here */
    read_headers(image);
    return (int32_t)i;
}

static int add(hk_native *out, uint64_t address, int is_exact)
{
    hk_native_frame *f = &out->frames[out->count];

    if (out->count == HK_NATIVE_FRAMES)
        return 0;
    f->address = address;
    f->is_exact = is_exact;
    f->image = image_of(out, is_exact || address == 0 ? address : address - 1);
    __atomic_store_n(&out->count, out->count + 1, __ATOMIC_RELEASE);
    return 1;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *arg)
{
    walk *w = arg;
    int is_exact = 0;
    uint64_t address = (uint64_t)_Unwind_GetIPInfo(context, &is_exact);

    if (w->out == NULL)
        return _URC_END_OF_STACK; /* the warm-up */
    if (!w->is_there) {
        w->is_there = address == w->start; /* which was noted already */
        return _URC_NO_REASON;
    }
    w->at_end = address == 0;
    if (address == 0 || w->deep == DEEPEST)
        return _URC_END_OF_STACK;
    if (w->out->count < INNER)
        (void)add(w->out, address, is_exact);
    else
        w->ring[w->deep++ % OUTER] = address;
    w->sp = (uintptr_t)_Unwind_GetCFA(context);
    return _URC_NO_REASON;
}

/* The outer frames of a long stack behind its inner ones. */
static void add_outer(walk *w)
{
    uint32_t n = w->deep < OUTER ? w->deep : OUTER, i;

    for (i = 0; i < n; i++)
        (void)add(w->out, w->ring[(w->deep - n + i) % OUTER], 0);
    w->deep = 0;
}

/* Whether the instruction before this address is a call. */
static int is_after_call(uint64_t address)
{
    const unsigned char *p = (const unsigned char *)(uintptr_t)address;
#if defined(__x86_64__)
    size_t k;

    if (p[-5] == 0xe8)
        return 1;
    for (k = 2; k <= 7; k++) /* ff /2: call through a register or memory */
        if (p[0 - (ptrdiff_t)k] == 0xff && (p[1 - (ptrdiff_t)k] >> 3 & 7) == 2)
            return 1;
    return 0;
#else /* aarch64 */
    uint32_t word;

    if (address % 4 != 0)
        return 0;
    memcpy(&word, p - 4, sizeof word);
    return (word & 0xfc000000U) == 0x94000000U || (word & 0xfffffc1fU) == 0xd63f0000U; /* bl, blr */
#endif
}

/* Whether the walk came to the first function of the process or of the thread. A return address of zero alone does not say so:
 * that may be what was written over it. */
static int is_whole(const walk *w)
{
    const hk_native *out = w->out;
    int32_t last = out->frames[out->count - 1].image;
    size_t i;

    for (i = 0; i < 2 && w->at_end && last >= 0; i++)
        if (out->images[last].start == (uint64_t)(uintptr_t)bottoms[i])
            return 1;
    return 0;
}

/* Whether a word may be a return address: it is in a library's code, behind a call. */
static int is_return(uintptr_t word)
{
    struct dl_find_object found;

    return word > HEADERS && _dl_find_object((void *)(word - 1), &found) == 0
        && word - (uintptr_t)found.dlfo_map_start > HEADERS && is_after_call(word);
}

/* Let the next walk begin at the call before this address. */
static int go_to(walk *w, uintptr_t word, uintptr_t sp)
{
    if (w->out->guessed == 0)
        w->out->guessed = w->out->count;
    w->sp = sp;
    w->start = word - 1;
    w->is_there = w->at_end = 0;
    hk_running_go_to(w->context, w->start, sp);
    return add(w->out, word, 0);
}

/* Find where a call may have left its return address: in a register, after a jump to nowhere, else in the next word on the stack
 * that looks like it. 0: nowhere. */
static int guess(walk *w)
{
    uintptr_t at = (w->sp + sizeof at - 1) & ~(uintptr_t)(sizeof at - 1), end = at + SCAN, word;
    hk_native *out = w->out;

    if (out->count == 1 && out->frames[0].image < 0 && is_return((uintptr_t)hk_running_link(w->context)))
        return go_to(w, (uintptr_t)hk_running_link(w->context), w->sp);
    if (out->count > 1 && out->frames[out->count - 1].image < 0)
        out->count--; /* what stood where an address should */
    if (out->count >= INNER || (out->guessed > 0 && out->count >= out->guessed + MAX_GUESSED))
        return 0;
    for (; at < end; at += sizeof at) {
        memcpy(&word, (const void *)at, sizeof word);
        if (is_return(word))
            return go_to(w, word, at + sizeof at);
    }
    return 0;
}

static void walk_on(walk *w)
{
    volatile int goes_on = 1; /* it outlives a jump back */

    while (goes_on) {
        if (sigsetjmp(back, 1) == 0) {
            hk_crash_unblock();
            _Unwind_Backtrace(visit, w);
        }
        hk_crash_unblock(); /* a jump back blocks them again */
        add_outer(w);
        if (is_whole(w))
            break;
        goes_on = 0;
        if (w->sp != 0 && sigsetjmp(back, 1) == 0) {
            hk_crash_unblock();
            goes_on = guess(w);
        }
    }
}

static const char *image_start(const void *address)
{
    struct dl_find_object found;

    return _dl_find_object((void *)(uintptr_t)address, &found) == 0 ? found.dlfo_map_start : NULL;
}

void hk_unwind_start(void)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n <= 0 && uwsgi.binary_path != NULL)
        snprintf(program, sizeof program, "%s", uwsgi.binary_path);
    bottoms[0] = image_start((const void *)getauxval(AT_ENTRY));
    bottoms[1] = image_start((const void *)(uintptr_t)getpid); /* the C library */
    memset(&now, 0, sizeof now);
    _Unwind_Backtrace(visit, &now);
}

void hk_unwind_take(hk_native *out, void *context)
{
    const char *here = __builtin_frame_address(0), *bottom = hk_running_alternate(context);
    pid_t nobody = 0;
    mcontext_t kept;

    if (!__atomic_compare_exchange_n(&taker, &nobody, (pid_t)syscall(SYS_gettid), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return; /* another thread crashed as well */
    kept = ((ucontext_t *)context)->uc_mcontext;
    memset(&now, 0, sizeof now);
    now.out = out;
    now.context = context;
    now.start = hk_running_instruction(context);
    now.sp = (uintptr_t)hk_running_stack(context);
    out->image_count = out->guessed = out->count = 0;
    if (sigsetjmp(back, 1) == 0) {
        hk_crash_unblock();
        (void)add(out, now.start, 1);
        if (bottom == NULL || (size_t)(here - bottom) > ROOM)
            walk_on(&now);
    }
    ((ucontext_t *)context)->uc_mcontext = kept;
    hk_crash_block();
    __atomic_store_n(&out->done, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&taker, 0, __ATOMIC_RELEASE);
}

int hk_unwind_works(void)
{
    return 1;
}

void hk_unwind_go_on(void)
{
    if (__atomic_load_n(&taker, __ATOMIC_ACQUIRE) == (pid_t)syscall(SYS_gettid))
        siglongjmp(back, 1);
}

#else /* an older C library, or another: events have Python's frames alone */

void hk_unwind_start(void)
{
}

void hk_unwind_take(hk_native *out, void *context)
{
    (void)context;
    out->count = 0;
}

int hk_unwind_works(void)
{
    return 0;
}

void hk_unwind_go_on(void)
{
}

#endif
