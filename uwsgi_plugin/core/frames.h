/* frames.h: the frames of an event's stack. */
#ifndef HK_FRAMES_H
#define HK_FRAMES_H

#include "event.h"
#include "json.h"

/* Whether file belongs to the application, and not to Python or an installed package. */
int hk_frames_in_app(hk_slice file);

/* Write "frames":[...], outermost first, at most HK_EVENT_MAX_FRAMES of them; lines: with their source. */
void hk_frames_put(hk_json *j, const hk_event_frame *frames, size_t count, int v7, int lines);

#endif
