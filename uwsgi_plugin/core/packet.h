/* packet.h: reads uWSGI's packets: dictionaries and arrays of 16-bit lengths. */
#ifndef HK_PACKET_H
#define HK_PACKET_H

#include "hk.h"

/* Take the next key and value off *rest. 1: taken; 0: the end; -1: damaged. */
int hk_packet_next_pair(hk_slice *rest, hk_slice *key, hk_slice *value);

/* Take the next item of an array off *rest. 1, 0 or -1 likewise. */
int hk_packet_next_item(hk_slice *rest, hk_slice *item);

/* What an exception handler is given. Slices point into the packet. */
typedef struct hk_packet_exception {
    hk_slice vars;      /* a dictionary: the request's variables */
    hk_slice backtrace; /* an array, five items a frame: file, line, function, source text, custom */
    hk_slice type;
    hk_slice message;
    hk_slice repr;
    uint64_t unix_s;
    uint64_t worker;
    uint64_t core;
    uint64_t pid;
    int damaged; /* the end of the packet is missing or could not be read; what is set is good */
} hk_packet_exception;

/* Read one exception packet. One that the socket cut gives its last value up to
 * the cut; unknown keys are skipped. Never fails: *out is zeroed first and holds
 * what could be read.
 */
void hk_packet_read_exception(hk_slice packet, hk_packet_exception *out);

/* The most items from the front of an array that fit into limit bytes: its length. */
size_t hk_packet_fit_array(hk_slice array, size_t limit);

#endif
