#include "lib/double.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

#define LINK_FD 3

enum status { STATUS_NO_LINK = 2, STATUS_UNSENT, STATUS_UNREAD };

static struct wire_link *peer;

int double_link(const char *dir, const char *name)
{
        char path[PATH_MAX];
        char self[PATH_MAX] = "";
        struct err err = {0};

        if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0 ||
            fs_join(path, sizeof(path), dir, name, &err) != 0)
                return -1;
        return symlink(self, path);
}

bool double_is(int argc, char *const *argv, const char *name)
{
        return argc == 1 && strcmp(argv[0], name) == 0;
}

int double_serve(const struct wire_protocol *protocol,
                 void (*serve)(const struct wire_frame *frame))
{
        struct wire_frame frame;
        struct err err = {0};

        if (wire_link_new(LINK_FD, protocol, WIRE_SERVER, &peer, &err) != 0)
                return STATUS_NO_LINK;
        while (wire_link_receive(peer, &frame, &err) == 0)
                serve(&frame);
        wire_link_free(peer);
        return 0;
}

void double_say(uint16_t code, uint32_t id, const void *message)
{
        struct err err = {0};

        if (wire_link_send(peer, code, id, 0, message, NULL, &err) != 0)
                _exit(STATUS_UNSENT);
}

void double_say_raw(const void *data, size_t len)
{
        if (write(wire_link_fd(peer), data, len) != (ssize_t)len)
                _exit(STATUS_UNSENT);
}

void double_read(const struct wire_frame *frame, void *ret_message, size_t size)
{
        struct err err = {0};

        if (wire_frame_decode(frame, ret_message, size, &err) != 0)
                _exit(STATUS_UNREAD);
}
