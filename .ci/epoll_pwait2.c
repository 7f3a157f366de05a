/* epoll_pwait2 for valgrind 3.19, which does not know it, though rustix makes no other call: built
 * with `--cfg rustix_use_libc` it calls the C library, and there it finds this one. It waits in
 * whole milliseconds, rounded up: as late as a busy machine would be. */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

int epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask) {
    int ms = -1;
    if (timeout && timeout->tv_sec >= INT_MAX / 1000 - 1) {
        ms = INT_MAX;
    } else if (timeout) {
        ms = (int)timeout->tv_sec * 1000 + (int)((timeout->tv_nsec + 999999) / 1000000);
    }
    return epoll_pwait(epoll, events, most, ms, mask);
}
