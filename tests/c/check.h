/* check.h: what the C tests need: checks that count, and vectors from tests/data. */
#ifndef HK_CHECK_H
#define HK_CHECK_H

#include "../../uwsgi_plugin/core/buf.h"

#include <stdio.h>
#include <stdlib.h>

extern int check_failed;
extern int check_done;

#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_TEXT(expected, actual) check_text((expected), (actual), __FILE__, __LINE__)

void check_that(int good, const char *what, const char *file, int line);
void check_text(const char *expected, hk_slice actual, const char *file, int line);

/* Every allocation from number n on (counted from 0) is refused; -1: none. */
void check_refuse_from(long n);

/* Call row for each line of tests/data/<name> that is no comment; fields are cut at tabs, at most 16. */
void check_each_row(const char *name, void (*row)(hk_slice *fields, int count));

/* Append s with its escapes undone: \t \n \r \xNN \\ */
void check_unescape(hk_slice s, hk_buf *out);

/* A whole file; exits when it cannot be read. Freed by the caller. */
hk_slice check_read_file(const char *path);
const char *check_data(const char *name); /* path of tests/data/<name>; static */

/* A new directory under /tmp, and its removal. */
const char *check_make_directory(void);
void check_remove_directory(const char *path);

#endif
