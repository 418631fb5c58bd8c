#include "base/busy-wait.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"

static void pause_longer(struct busy_wait *wait)
{
        if (wait->pause == 0)
                wait->pause = BUSY_WAIT_PAUSE_MIN;
        else if (wait->pause < BUSY_WAIT_PAUSE_MAX)
                wait->pause *= 2;
        wait->left = wait->pause;
}

bool busy_wait(struct busy_wait *wait, uint64_t usec, bool (*is_over)(void *user), void *user)
{
        uint64_t start;

        if (wait->left > 0) {
                wait->left--;
                return false;
        }
        start = clock_usec();
        while (!is_over(user)) {
                if (clock_usec() - start > usec) {
                        pause_longer(wait);
                        return false;
                }
                (void)sched_yield();
        }
        wait->pause = 0;
        return true;
}

static bool is_readable(void *user)
{
        const int *fd = user;
        char byte;

        return recv(*fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

bool busy_wait_answer(struct busy_wait *wait, int socket)
{
        return busy_wait(wait, BUSY_WAIT_ANSWER_USEC, is_readable, &socket);
}

/* What is level-triggered is there for the next epoll_wait() as well. */
static bool has_event(void *user)
{
        const int *epoll = user;
        struct epoll_event event;

        return epoll_wait(*epoll, &event, 1, 0) != 0;
}

bool busy_wait_event(struct busy_wait *wait, int epoll)
{
        return busy_wait(wait, BUSY_WAIT_EVENT_USEC, has_event, &epoll);
}
