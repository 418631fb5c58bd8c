#include "engine/busy-wait.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_usec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool is_readable(int fd)
{
        char byte;

        return recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void pause_longer(struct busy_wait *wait)
{
        if (wait->pause == 0)
                wait->pause = BUSY_WAIT_PAUSE_MIN;
        else if (wait->pause < BUSY_WAIT_PAUSE_MAX)
                wait->pause *= 2;
        wait->left = wait->pause;
}

bool busy_wait(struct busy_wait *wait, int fd)
{
        uint64_t start;

        if (wait->left > 0) {
                wait->left--;
                return false;
        }
        start = now_usec();
        while (!is_readable(fd)) {
                if (now_usec() - start > BUSY_WAIT_USEC) {
                        pause_longer(wait);
                        return false;
                }
                (void)sched_yield();
        }
        wait->pause = 0;
        return true;
}
