/*
 * What every unit test includes: cmocka with the headers it wants before it, and the rows idiom.
 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* Fails with the words that the error carries. */
#define assert_ok(call, err)                                                                       \
        do {                                                                                       \
                int assert_rc_ = (call);                                                           \
                if (assert_rc_ != 0)                                                               \
                        fail_msg("%s: %d: %s", #call, assert_rc_, (err)->text);                    \
        } while (0)

/*
 * ../shared/fixtures as seen from the source directory, or NULL where a clone lacks it; the test
 * then says which rows it skips. The directory comes from the build (CATENA_FIXTURES).
 */
const char *test_fixtures(void);

/* "<fixtures>/<name>" in a static buffer. */
const char *test_fixture_path(const char *name);

/* Reads a fixture whole; fails the test if it cannot. free() the result. */
uint8_t *test_fixture(const char *name, size_t *ret_len);

/* A new private directory under TMPDIR, removed with everything in it at exit. */
const char *test_dir(void);

#endif
