/* template.h: values with "$1" and "${NAME}" in them, cut into pieces.
 *
 * The pieces are expanded one by one and never looked at again, so what a
 * request brings in cannot become an option, a tag or another variable.
 */
#ifndef HK_TEMPLATE_H
#define HK_TEMPLATE_H

#include "hk.h"

typedef enum hk_template_kind { HK_TEMPLATE_TEXT, HK_TEMPLATE_GROUP, HK_TEMPLATE_VARIABLE } hk_template_kind;

/* Take the next piece off *rest. 0 at the end. A piece of another kind than
 * TEXT is the whole "$1" or "${NAME}". */
int hk_template_next(hk_slice *rest, hk_template_kind *kind, hk_slice *piece);

#endif
