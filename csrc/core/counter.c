#include "counter.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PERF_FORMAT_LOST
#define PERF_FORMAT_LOST (1U << 4) /* linux 6.0 */
#endif

int cprof_perf_event_open(struct perf_event_attr *attr, pid_t tid, int cpu, int group_fd)
{
    int fd =
        (int)syscall(SYS_perf_event_open, attr, tid, cpu, group_fd, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void cprof_counter_drop(struct cprof_counter *counter, size_t i)
{
    if (counter->fds.data[i].fd >= 0)
        close(counter->fds.data[i].fd);
    counter->fds.data[i].fd = -1;
}

void cprof_counter_deinit(struct cprof_counter *counter)
{
    for (size_t i = 0; i < counter->fds.n; i++)
        cprof_counter_drop(counter, i);
    cprof_vec_free(&counter->fds);
    cprof_map_deinit(&counter->by_id);
}

/* The words that read(2) gives for our read_format, in the kernel's order. */
struct reading {
    uint64_t value, enabled, running, id, lost;
};

static int read_fd(const struct cprof_counter *counter, int fd, struct reading *ret)
{
    size_t n = counter->attr.read_format & PERF_FORMAT_LOST ? 5 * 8 : 4 * 8;

    memset(ret, 0, sizeof(*ret));
    return read(fd, ret, n) == (ssize_t)n ? 0 : -EIO;
}

static int open_event(struct cprof_counter *counter, pid_t tid, int cpu)
{
    int fd;

    counter->attr.size = sizeof(counter->attr);
    if (!counter->fds.n)
        counter->attr.read_format = CPROF_READ_FORMAT | PERF_FORMAT_LOST;
    fd = cprof_perf_event_open(&counter->attr, tid, cpu, -1);
    if (fd == -EINVAL && !counter->fds.n) {
        counter->attr.read_format = CPROF_READ_FORMAT;
        fd = cprof_perf_event_open(&counter->attr, tid, cpu, -1);
    }
    return fd;
}

int cprof_counter_open(struct cprof_counter *counter, pid_t tid, int cpu, int output_fd)
{
    struct cprof_counter_fd slot = {.tid = tid, .cpu = cpu};
    struct reading reading;
    int r;

    if (cprof_vec_reserve(&counter->fds, 1) < 0)
        return -ENOMEM;
    slot.fd = open_event(counter, tid, cpu);
    if (slot.fd < 0)
        return slot.fd;
    r = read_fd(counter, slot.fd, &reading);
    if (!r && output_fd >= 0 && ioctl(slot.fd, PERF_EVENT_IOC_SET_OUTPUT, output_fd) < 0)
        r = -errno;
    slot.id = reading.id;
    if (!r)
        r = cprof_map_set(&counter->by_id, slot.id, (uint32_t)counter->fds.n);
    if (r < 0) {
        close(slot.fd);
        return r;
    }
    counter->fds.data[counter->fds.n++] = slot;
    return slot.fd;
}

static int for_each(const struct cprof_counter *counter, unsigned long request)
{
    int r = 0;

    for (size_t i = 0; i < counter->fds.n; i++) {
        int fd = counter->fds.data[i].fd;
        if (fd >= 0 && ioctl(fd, request, 0) < 0)
            r = -errno;
    }
    return r;
}

int cprof_counter_enable(const struct cprof_counter *counter)
{
    return for_each(counter, PERF_EVENT_IOC_ENABLE);
}

int cprof_counter_disable(const struct cprof_counter *counter)
{
    return for_each(counter, PERF_EVENT_IOC_DISABLE);
}

void cprof_counter_read(const struct cprof_counter *counter, struct cprof_counts *ret)
{
    struct reading reading;

    memset(ret, 0, sizeof(*ret));
    ret->has_lost = counter->attr.read_format & PERF_FORMAT_LOST;
    for (size_t i = 0; i < counter->fds.n; i++) {
        if (read_fd(counter, counter->fds.data[i].fd, &reading) < 0)
            continue;
        ret->value += reading.value;
        ret->time_enabled += reading.enabled;
        ret->time_running += reading.running;
        ret->n_lost += reading.lost;
    }
}

int cprof_counter_set_period(const struct cprof_counter *counter, size_t i,
                             uint64_t period)
{
    return ioctl(counter->fds.data[i].fd, PERF_EVENT_IOC_PERIOD, &period) < 0 ? -errno
                                                                              : 0;
}
