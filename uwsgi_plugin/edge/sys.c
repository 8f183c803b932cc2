#include "sys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define LOG_EVERY_MS 60000U
#define LINE_MAX_BYTES 1024

static void log_to_stderr(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void (*use_log)(const char *line) = log_to_stderr;

uint64_t hk_sys_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t hk_sys_monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000U + (uint64_t)t.tv_nsec / 1000000U;
}

static void random_bytes(unsigned char *out, size_t n)
{
    static uint64_t counter;
    uint64_t mix;
    size_t i;

    if (getrandom(out, n, GRND_NONBLOCK) == (ssize_t)n)
        return;
    mix = hk_sys_now_ns() ^ (uint64_t)getpid() << 40 ^ __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED) << 20;
    for (i = 0; i < n; i++) {
        mix = mix * 6364136223846793005ULL + 1442695040888963407ULL; /* Knuth's MMIX */
        out[i] = (unsigned char)(mix >> 56);
    }
}

void hk_sys_event_id(char out[33])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[16];
    size_t i;

    random_bytes(raw, sizeof raw);
    raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
    raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
    for (i = 0; i < sizeof raw; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[32] = '\0';
}

double hk_sys_jitter(void)
{
    unsigned char raw[2];

    random_bytes(raw, sizeof raw);
    return (raw[0] * 256 + raw[1]) / 65535.0;
}

void hk_sys_set_log(void (*log)(const char *line))
{
    use_log = log == NULL ? log_to_stderr : log;
}

static void write_line(const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];

    if (vsnprintf(line, sizeof line, format, args) >= 0)
        use_log(line);
}

void hk_sys_log(const char *format, ...)
{
    int saved = errno;
    va_list args;

    va_start(args, format);
    write_line(format, args);
    va_end(args);
    errno = saved;
}

void hk_sys_log_sparingly(uint64_t *last_ms, const char *format, ...)
{
    int saved = errno;
    uint64_t now = hk_sys_monotonic_ms() + 1, last = __atomic_load_n(last_ms, __ATOMIC_RELAXED);
    va_list args;

    if (last != 0 && now - last < LOG_EVERY_MS)
        return;
    if (!__atomic_compare_exchange_n(last_ms, &last, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return; /* another thread says it */
    va_start(args, format);
    write_line(format, args);
    va_end(args);
    errno = saved;
}
