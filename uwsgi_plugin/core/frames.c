#include "frames.h"

#include "packet.h"
#include "request.h"
#include "roots.h"

#define MAX_LINE 1024U /* bytes of a source line that are looked at */

hk_frame *hk_frames_read(hk_slice backtrace, hk_pool *pool, size_t *count)
{
    hk_slice rest = backtrace, item;
    hk_frame *frames;
    size_t items = 0, at = 0, i;

    *count = 0;
    while (hk_packet_next_item(&rest, &item) == 1)
        items++;
    if (items < 5)
        return NULL;
    frames = hk_pool_alloc(pool, items / 5 * sizeof *frames);
    if (frames == NULL)
        return NULL;
    rest = backtrace;
    while (at < items / 5 * 5 && hk_packet_next_item(&rest, &item) == 1) {
        hk_frame *f = &frames[at / 5];
        switch (at++ % 5) {
        case 0: f->file = hk_pool_keep(pool, item); break;
        case 1:
            for (i = 0; i < item.n && i < 9 && item.p[i] >= '0' && item.p[i] <= '9'; i++)
                f->line = f->line * 10 + (uint64_t)(item.p[i] - '0');
            break;
        case 2: f->function = hk_pool_keep(pool, item); break;
        case 3: f->line_text = hk_pool_keep(pool, item); break;
        default: break;
        }
    }
    *count = items / 5;
    hk_frames_mark(frames, *count, hk_slice_make("", 0));
    return frames;
}

int hk_frames_in_app(hk_slice file, hk_slice roots)
{
    /* The last: this package in a source tree, where its middleware stands below every request. */
    static const char *const outside[] = { "/site-packages/", "/dist-packages/", "/lib/python", "/heka_raven/" };
    int said = hk_roots_say(roots, file);
    size_t i, k;

    if (said >= 0)
        return said;
    for (i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        size_t n = strlen(outside[i]);
        for (k = 0; k + n <= file.n; k++)
            if (memcmp(file.p + k, outside[i], n) == 0)
                return 0;
    }
    return file.n > 0 && file.p[0] != '<';
}

void hk_frames_mark(hk_frame *frames, size_t count, hk_slice roots)
{
    size_t i;

    for (i = 0; i < count; i++)
        frames[i].in_app = hk_frames_in_app(frames[i].file, roots);
}

static void key(hk_json *j, const char *name)
{
    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
}

static void put_line(hk_json *j, hk_slice line)
{
    static const hk_scrub rule = { 0 };
    hk_buf clean;

    hk_buf_init(&clean, 65536);
    hk_scrub_source(&rule, line.n > MAX_LINE ? hk_slice_make(line.p, MAX_LINE) : line, &clean);
    hk_json_value(j, hk_buf_ok(&clean) ? hk_buf_slice(&clean) : hk_slice_make("", 0), 256);
    hk_buf_free(&clean);
}

static void put_lines(hk_json *j, const char *name, hk_slice lines)
{
    if (lines.n == 0)
        return;
    key(j, name);
    hk_json_open(j, '[');
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end == NULL ? lines.n : (size_t)(end - lines.p);
        put_line(j, hk_slice_make(lines.p, n));
        lines = hk_slice_from(lines, n + 1);
    }
    hk_json_close(j, ']');
}

static void put_hex(hk_json *j, const char *name, uint64_t value)
{
    key(j, name);
    hk_json_hex(j, value);
}

/* As Sentry has it, so that it can symbolise; with a file's name, as other servers show no package. */
static void put_native(hk_json *j, const hk_frame *f, hk_slice base)
{
    hk_json_open(j, '{');
    hk_json_pair(j, "filename", base, 256);
    hk_json_pair(j, "platform", hk_slice_of("native"), 16);
    hk_json_pair(j, "function", f->function, 256);
    hk_json_pair(j, "package", f->file, 1024);
    put_hex(j, "instruction_addr", f->address);
    if (f->image_start > 0)
        put_hex(j, "image_addr", f->image_start);
    if (f->function_start > 0)
        put_hex(j, "symbol_addr", f->function_start);
    key(j, "in_app");
    hk_json_bool(j, f->in_app);
    hk_json_close(j, '}');
}

/* Version 3 knows files and functions only. */
static void put_native_v3(hk_json *j, const hk_frame *f, hk_slice base)
{
    hk_json_open(j, '{');
    hk_json_pair(j, "filename", base.n > 0 ? base : hk_slice_of("?"), 256);
    hk_json_pair(j, "abs_path", f->file, 1024);
    if (f->function.n > 0)
        hk_json_pair(j, "function", f->function, 256);
    else
        put_hex(j, "function", f->address);
    hk_json_close(j, '}');
}

void hk_frames_put(hk_json *j, const hk_frame *frames, size_t count, int v7, hk_frames_parts parts)
{
    size_t i, skip_from = count, skip_to = count, most = parts.most > 0 ? parts.most : HK_FRAMES_MAX;

    if (count > most) {
        skip_from = most / (HK_FRAMES_MAX / HK_FRAMES_OUTER);
        skip_to = count - (most - skip_from);
    }
    key(j, "frames");
    hk_json_open(j, '[');
    for (i = 0; i < count; i++) {
        const hk_frame *f = &frames[i];
        hk_slice base = f->file;
        size_t k;
        if (i >= skip_from && i < skip_to)
            continue;
        for (k = f->file.n; k > 0 && f->file.p[k - 1] != '/'; k--)
            ;
        base = hk_slice_from(f->file, k);
        if (f->is_native) {
            if (v7)
                put_native(j, f, base);
            else
                put_native_v3(j, f, base);
            continue;
        }
        hk_json_open(j, '{');
        hk_json_pair(j, "filename", base.n > 0 ? base : hk_slice_of("?"), 256);
        hk_json_pair(j, "abs_path", f->file, 1024);
        hk_json_pair(j, "function", f->function, 256);
        if (f->line > 0) {
            key(j, "lineno");
            hk_json_u64(j, f->line);
        }
        if (parts.lines) {
            put_lines(j, "pre_context", f->before);
            if (f->line_text.n > 0) {
                key(j, "context_line");
                put_line(j, f->line_text);
            }
            put_lines(j, "post_context", f->after);
        }
        if (parts.vars && f->vars.n > 0) {
            key(j, "vars");
            hk_json_raw(j, f->vars);
        }
        if (v7) {
            key(j, "in_app");
            hk_json_bool(j, f->in_app);
        }
        hk_json_close(j, '}');
    }
    hk_json_close(j, ']');
}
