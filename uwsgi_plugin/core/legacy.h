/* legacy.h: the payload of protocol 3: base64 of zlib of JSON.
 *
 * zlib's format allows blocks that are stored as they are; that is what is
 * written, so no compression library is needed. Any inflater reads it.
 */
#ifndef HK_LEGACY_H
#define HK_LEGACY_H

#include "buf.h"

void hk_legacy_put(hk_slice json, hk_buf *out);
void hk_legacy_put_base64(hk_slice bytes, hk_buf *out);

#endif
