/*
 * Doubles of our own programs: the daemons start what a link with the program's name leads to, and
 * tests let it lead to themselves. main() then plays the part; nothing of cmocka's is needed.
 */
#ifndef TESTS_LIB_DOUBLE_H
#define TESTS_LIB_DOUBLE_H

#include <stdbool.h>

#include "wire/link.h"

/* Makes DIR/NAME lead to the running program. Returns 0, or -1 with errno. */
int double_link(const char *dir, const char *name);

/* Whether this process was started under this name; then main() ends with double_serve(). */
bool double_is(int argc, char *const *argv, const char *name);

/*
 * Plays a server on descriptor 3 until the other side closes: serve is called for each frame.
 * Returns the exit status.
 */
int double_serve(const struct wire_protocol *protocol,
                 void (*serve)(const struct wire_frame *frame));

/* Inside of the above; all end the process with a status of their own when they fail. */
void double_say(uint16_t code, uint32_t id, const void *message);
void double_say_raw(const void *data, size_t len);
void double_read(const struct wire_frame *frame, void *ret_message, size_t size);

#endif
