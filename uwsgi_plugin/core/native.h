/* native.h: the frames below Python of a process that crashed: the record that its signal handler leaves in shared memory, and
 * what an event makes of it. Pure.
 *
 * The handler writes numbers and the loader's own paths: never a byte of the stack itself. The reader believes nothing: counts
 * and indexes are checked.
 */
#ifndef HK_NATIVE_H
#define HK_NATIVE_H

#include "elf.h"
#include "frames.h"

#define HK_NATIVE_FRAMES 112U
#define HK_NATIVE_IMAGES 32U
#define HK_NATIVE_PATH 512U

typedef struct hk_native_image {
    uint64_t start; /* where its first byte lies in memory */
    uint64_t size;
    uint64_t vmaddr; /* what its own numbers call that place */
    uint32_t id_size; /* of its build id; 0: it has none */
    uint32_t is_folded; /* id is no build id, but of hk_elf_text_id */
    unsigned char id[HK_ELF_ID];
    char path[HK_NATIVE_PATH]; /* with a NUL */
} hk_native_image;

typedef struct hk_native_frame {
    uint64_t address;
    int32_t image;    /* -1: in nothing that the loader knows */
    int32_t is_exact; /* the instruction itself, not the one that is returned to */
} hk_native_frame;

/* Innermost first. Memory of zeros: nothing. */
typedef struct hk_native {
    uint32_t count;
    uint32_t image_count;
    uint32_t done;    /* the handler is back from it */
    uint32_t lives_on; /* set in a copy: it did not crash, so a loop of the interpreter itself is no news */
    uint32_t guessed; /* from this frame on they were looked for on a stack that is broken, and may be old; 0: none */
    hk_native_frame frames[HK_NATIVE_FRAMES];
    hk_native_image images[HK_NATIVE_IMAGES];
} hk_native;

/* A return address belongs to the instruction before it. */
uint64_t hk_native_looked_up(const hk_native_frame *f);

/* A copy that holds its own promises, in pool; NULL: there are no frames, or no memory. */
hk_native *hk_native_copy(const hk_native *shared, hk_pool *pool);

/* Python's frames (outermost first) with the native ones inside the innermost of them: what called into Python, and
 * uWSGI's loop below it, is left out where a frame of Python's evaluation loop is among them; of a recursion's equal frames in
 * a row few are kept. symbols: one for each native frame. Without native frames: the same array. */
hk_frame *hk_native_join(const hk_frame *python, size_t count, const hk_native *n, const hk_elf_symbol *symbols,
                         hk_slice roots, hk_pool *pool, size_t *total);

/* What tells this crash from another in the same Python function: the innermost native function with a name that is not
 * of the C library; else such a library's name. Empty: nothing. */
hk_slice hk_native_place(const hk_frame *frames, size_t count);

/* debug_meta.images, a JSON array: of the files that the frames are in. Empty: none. */
hk_slice hk_native_images(const hk_native *n, const hk_frame *frames, size_t count, hk_pool *pool);

#endif
