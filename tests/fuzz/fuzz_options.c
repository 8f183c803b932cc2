/* Invariant: whatever the bytes, options parse or give one line of reason; an accepted dsn is a good one and holds no
 * request variable; pairs and templates of every value come to an end. */
#include "../../uwsgi_plugin/core/dsn.h"
#include "../../uwsgi_plugin/core/options.h"
#include "../../uwsgi_plugin/core/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hk_slice text = { (const char *)data, size }, rest, piece;
    hk_template_kind kind;
    hk_options o;
    hk_buf why, key, value;
    hk_dsn dsn;
    size_t total;
    int i;

    hk_buf_init(&why, 4096);
    hk_buf_init(&key, 65536);
    hk_buf_init(&value, 65536);
    switch (hk_options_parse(text, "http://k@h/1", &o, &why)) {
    case HK_OK:
        if (hk_dsn_parse(hk_options_get(&o, HK_OPT_DSN), &dsn, NULL) != HK_OK || strstr(o.values[HK_OPT_DSN], "${") != NULL)
            abort();
        for (i = 0; i < HK_OPT_COUNT; i++) {
            rest = hk_options_get(&o, (hk_option)i);
            while (hk_options_next_pair(&rest, &key, &value))
                ;
            rest = hk_options_get(&o, (hk_option)i);
            for (total = 0; hk_template_next(&rest, &kind, &piece); total += piece.n)
                ;
            if (total != hk_options_get(&o, (hk_option)i).n)
                abort();
        }
        break;
    case HK_ERR_SYNTAX:
        if (why.len == 0 || memchr(why.data, ':', why.len) == NULL)
            abort();
        break;
    default:
        break;
    }
    hk_options_free(&o);
    hk_buf_free(&why);
    hk_buf_free(&key);
    hk_buf_free(&value);
    return 0;
}
