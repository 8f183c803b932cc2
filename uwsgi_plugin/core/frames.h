/* frames.h: the frames of an event's stack. */
#ifndef HK_FRAMES_H
#define HK_FRAMES_H

#include "json.h"
#include "pool.h"

#define HK_FRAMES_MAX 250U
#define HK_FRAMES_OUTER 50U /* kept of a longer stack, beside the innermost 200 */

typedef struct hk_frame {
    hk_slice file; /* of a native frame: the library or program */
    hk_slice function;
    hk_slice line_text;
    hk_slice before; /* source lines around it, joined by newlines, each ending in one */
    hk_slice after;
    hk_slice vars;   /* a JSON object, masked; empty: not known */
    uint64_t line;
    int in_app; /* set by hk_frames_mark */
    int is_native; /* machine code: what follows is of that */
    int is_guessed; /* see hk_native */
    uint64_t address;
    uint64_t image_start, function_start; /* 0: not known */
} hk_frame;

/* One thread beside the one that an event is about. */
typedef struct hk_thread {
    hk_frame *frames; /* outermost first */
    size_t count;
} hk_thread;

/* Frames of uWSGI's backtrace array, in pool, marked by their paths alone: it tells of an exception only what no
 * middleware saw, so nobody told any roots. *count is set. NULL: none. */
hk_frame *hk_frames_read(hk_slice backtrace, hk_pool *pool, size_t *count);

/* Whether file belongs to the application, and not to Python or an installed package, where roots, the text of roots.h,
 * does not say it. */
int hk_frames_in_app(hk_slice file, hk_slice roots);

/* Set in_app of each. */
void hk_frames_mark(hk_frame *frames, size_t count, hk_slice roots);

/* Write "frames":[...], outermost first, at most so many of them: a fifth of those are the outermost. */
typedef struct hk_frames_parts {
    int lines; /* with their source, */
    int vars;  /* and their values */
    unsigned most; /* of them; 0: HK_FRAMES_MAX */
} hk_frames_parts;
void hk_frames_put(hk_json *j, const hk_frame *frames, size_t count, int v7, hk_frames_parts parts);

#endif
