/* Shifts CLOCK_REALTIME of a process by a number of microseconds that others may change while it runs.
 *
 * For tests: LD_PRELOAD this, and name in IRIS_TEST_CLOCK a file that holds one signed 64-bit integer. Every other
 * clock stays what it is, so that a step of the wall clock against the monotonic one is seen as on a real machine.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *shift_us;

__attribute__((constructor)) static void open_clock(void) {
    const char *name = getenv("IRIS_TEST_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) shift_us = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (failed || !shift_us || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return failed;
    int64_t us = *shift_us, ns = now->tv_nsec + (us % 1000000) * 1000;
    now->tv_sec += us / 1000000;
    while (ns < 0) ns += 1000000000, now->tv_sec--;
    while (ns >= 1000000000) ns -= 1000000000, now->tv_sec++;
    now->tv_nsec = ns;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return (time_t)-1;
    if (into) *into = exact.tv_sec;
    return exact.tv_sec;
}
