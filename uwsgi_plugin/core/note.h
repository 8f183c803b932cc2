/* note.h: what a worker tells of the request that runs on one of its cores: one slot a core, in memory that the master
 * shares.
 *
 * The slot is numbered with the request's generation, so nobody has to clear it when a request ends; a writer counts
 * before and after, so a torn copy is seen and dropped. It may stay torn for ever when the worker dies: nobody waits.
 */
#ifndef HK_NOTE_H
#define HK_NOTE_H

#include "hk.h"

#define HK_NOTE_MAX 1024U /* bytes of one text; a longer one is not taken */

typedef enum hk_note_field { HK_NOTE_TRANSACTION, HK_NOTE_USER, HK_NOTE_EVENT_ID, HK_NOTE_FIELDS } hk_note_field;

typedef struct hk_note {
    uint64_t sequence;   /* odd while it is written */
    uint64_t generation; /* of the request */
    uint32_t n[HK_NOTE_FIELDS];
    char text[HK_NOTE_FIELDS][HK_NOTE_MAX];
} hk_note;

/* Memory of zeros, or that of a worker that died. */
void hk_note_reset(hk_note *note);

/* Set one text of the request; those of an earlier one are forgotten. 0; -1: too long, or another thread is writing. */
int hk_note_put(hk_note *note, uint64_t generation, hk_note_field field, hk_slice text);

/* A whole copy of what is known of this request. 0: nothing, or it was torn: *out is zeroed then. */
int hk_note_get(const hk_note *note, uint64_t generation, hk_note *out);

hk_slice hk_note_text(const hk_note *copy, hk_note_field field);

#endif
