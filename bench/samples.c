/* samples.c - the kernel's side of a recording alone:
 *
 *   samples FILE FREQ STACK_BYTES COMMAND [ARG ...]
 *
 * Opens the very events that `cprof record` opens for the command (STACK_BYTES 0: with as
 * many as it would take), and empties their rings. FILE gets the records as the kernel
 * wrote them, ring by ring, for unwind.c: first the sample_type (8 bytes), then record
 * after record. With FILE "-" they are thrown away, so that the target is slowed by the
 * kernel's own work and by nothing else. Exits with the command's status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "session_internal.h"

enum { POLL_MS = 100, POLLED_MAX = 1024 };

static void fail(const char *what)
{
    fprintf(stderr, "samples: %s\n", what);
    exit(125);
}

static void empty_rings(struct cprof_session *s, FILE *out)
{
    const struct perf_event_header *record;

    for (size_t i = 0; i < s->rings.n; i++) {
        struct cprof_ring *ring = s->rings.data[i].ring;
        cprof_ring_refresh(ring);
        while (cprof_ring_next(ring, &record) == 1)
            if (out && fwrite(record, record->size, 1, out) != 1)
                fail("cannot write the file");
    }
}

/* Until the command has ended: its wait(2) status. */
static int drain(struct cprof_session *s, FILE *out)
{
    struct pollfd fds[POLLED_MAX] = {{.fd = s->targets.data[0].pidfd, POLLIN, 0}};
    nfds_t n = 1;
    int status;

    for (size_t i = 0; i < s->rings.n && n < POLLED_MAX; i++)
        fds[n++] = (struct pollfd){.fd = s->rings.data[i].fd, .events = POLLIN};
    while (waitpid(s->child_pid, &status, WNOHANG) == 0) {
        poll(fds, n, POLL_MS);
        for (nfds_t i = 0; i < n; i++)
            if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL))
                fds[i].fd = -1;
        empty_rings(s, out);
    }
    empty_rings(s, out);
    return status;
}

int main(int argc, char **argv)
{
    struct cprof_session_options options = {.event = "auto",
                                            .unwind = "libunwind",
                                            .jitter = true,
                                            .follow = true,
                                            .kernel = -1,
                                            .stack = "dump"};
    struct cprof_session *s = NULL;
    struct cprof_error err = {0};
    FILE *out = NULL;
    int status;

    if (argc < 5)
        fail("usage: samples FILE FREQ STACK_BYTES COMMAND [ARG ...]");
    if (strcmp(argv[1], "-") && !(out = fopen(argv[1], "we")))
        fail("cannot make the file");
    options.freq = atof(argv[2]);
    options.stack_bytes = (uint32_t)atoi(argv[3]);
    if (!options.stack_bytes)
        options.stack_bytes = CPROF_STACK_BYTES_AUTO;
    options.argv = (const char *const *)argv + 4;
    if (cprof_session_create(&options, &s, &err) < 0)
        fail(err.message);
    if (out && fwrite(&s->sampler.attr.sample_type, 8, 1, out) != 1)
        fail("cannot write the file");
    if (cprof_child_go(&s->child, argv[4], &err) < 0)
        fail(err.message);
    status = drain(s, out);
    s->child.pid = 0; /* reaped */
    cprof_session_destroy(s);
    if (out && fclose(out))
        fail("cannot write the file");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
