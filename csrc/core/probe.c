#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "counter.h"
#include "event.h"
#include "live.h"
#include "proc.h"

static const char paranoid_path[] = "/proc/sys/kernel/perf_event_paranoid";

/* The line of /proc/self/status that starts with `name`, read as a number. */
static bool status_field(pid_t pid, const char *name, int base, uint64_t *ret)
{
    char path[64];
    _cleanup_free_ char *text = NULL;
    const char *line;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (cprof_proc_read(path, 65536, &text, &n) < 0)
        return false;
    line = strstr(text, name);
    if (!line)
        return false;
    *ret = strtoull(line + strlen(name), NULL, base);
    return true;
}

bool cprof_probe_has_capability(enum cprof_capability capability)
{
    uint64_t effective = 0;

    return status_field(getpid(), "\nCapEff:\t", 16, &effective) &&
           effective >> capability & 1;
}

bool cprof_probe_is_privileged(void)
{
    return cprof_probe_has_capability(CPROF_CAP_PERFMON) ||
           cprof_probe_has_capability(CPROF_CAP_SYS_ADMIN);
}

long cprof_probe_paranoid(void)
{
    long value;

    return cprof_proc_number(paranoid_path, &value) < 0 ? 4 : value;
}

long cprof_probe_max_sample_rate(void)
{
    long value;

    return cprof_proc_number("/proc/sys/kernel/perf_event_max_sample_rate", &value) < 0
               ? 100000
               : value;
}

int cprof_probe_cpus(struct cprof_cpus *ret)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    char *at;
    int r = cprof_proc_read("/sys/devices/system/cpu/online", 65536, &text, &n);

    if (r < 0) /* no sysfs: the C library knows how many there are */
        for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
            if (cprof_vec_push(&ret->numbers, (int)i) < 0)
                return -ENOMEM;
    for (at = text; at && *at >= '0' && *at <= '9';) {
        long first = strtol(at, &at, 10), last = first;
        if (*at == '-')
            last = strtol(at + 1, &at, 10);
        for (long i = first; i <= last && i < 1 << 16; i++)
            if (cprof_vec_push(&ret->numbers, (int)i) < 0)
                return -ENOMEM;
        at += *at == ',';
    }
    return ret->numbers.n ? 0 : -ENODEV;
}

int cprof_probe_event(uint32_t type, uint64_t config, bool with_kernel)
{
    struct perf_event_attr attr = {
        .type = type,
        .size = sizeof(attr),
        .config = config,
        .disabled = 1,
        .exclude_kernel = !with_kernel,
        .exclude_hv = 1,
    };
    int fd = cprof_perf_event_open(&attr, 0, -1, -1);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static struct cprof_knob *add(struct cprof_knob *knobs, size_t *n, const char *name,
                              bool is_ok, const char *blocks, const char *remedy)
{
    struct cprof_knob *knob = &knobs[(*n)++];

    memset(knob, 0, sizeof(*knob));
    snprintf(knob->name, sizeof(knob->name), "%s", name);
    knob->is_ok = is_ok;
    if (!is_ok) {
        snprintf(knob->blocks, sizeof(knob->blocks), "%s", blocks);
        snprintf(knob->remedy, sizeof(knob->remedy), "%s", remedy);
    }
    return knob;
}
#define VALUE(knob, ...) snprintf((knob)->value, sizeof((knob)->value), __VA_ARGS__)

static void probe_paranoid(struct cprof_knob *knobs, size_t *n)
{
    long paranoid = cprof_probe_paranoid();
    bool all = cprof_probe_is_privileged() || paranoid <= 1;
    bool own = all || paranoid <= 2;
    struct cprof_knob *knob =
        add(knobs, n, "kernel.perf_event_paranoid", all,
            own ? "kernel samples and kernel frames; own user code can be recorded"
                : "all recording without privilege",
            own ? "sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON"
                : "sysctl kernel.perf_event_paranoid=2 (or lower), or CAP_PERFMON");
    VALUE(knob, "%ld", paranoid);
}

static void probe_capabilities(struct cprof_knob *knobs, size_t *n)
{
    static const struct {
        enum cprof_capability bit;
        const char *name;
    } wanted[] = {{CPROF_CAP_PERFMON, "CAP_PERFMON"},
                  {CPROF_CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
                  {CPROF_CAP_IPC_LOCK, "CAP_IPC_LOCK"},
                  {CPROF_CAP_SYSLOG, "CAP_SYSLOG"},
                  {CPROF_CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
    char has[120] = "";
    size_t used = 0;
    bool ok =
        cprof_probe_is_privileged() && cprof_probe_has_capability(CPROF_CAP_SYS_PTRACE);

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (cprof_probe_has_capability(wanted[i].bit))
            used += (size_t)snprintf(has + used, sizeof(has) - used, "%s%s",
                                     used ? " " : "", wanted[i].name);
    VALUE(add(knobs, n, "capabilities", ok, "processes of other users",
              "run as root, or: setcap "
              "cap_perfmon,cap_sys_ptrace,cap_ipc_lock,cap_syslog+ep"
              " on a copy of the python binary"),
          "%s", used ? has : "none");
}

static void probe_limits(struct cprof_knob *knobs, size_t *n)
{
    struct rlimit files = {0}, memory = {0};
    struct cprof_cpus cpus = {0};
    long per_cpu = 516;
    bool free_lock =
        cprof_probe_has_capability(CPROF_CAP_IPC_LOCK) || cprof_probe_paranoid() < 0;
    rlim_t budget;

    cprof_probe_cpus(&cpus);
    cprof_proc_number("/proc/sys/kernel/perf_event_mlock_kb", &per_cpu);
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_MEMLOCK, &memory);
    budget = (rlim_t)per_cpu * 1024 * cpus.numbers.n;
    free_lock |= memory.rlim_cur == RLIM_INFINITY;
    if (!free_lock)
        budget += memory.rlim_cur;
    VALUE(add(knobs, n, "kernel.perf_event_mlock_kb",
              free_lock || budget >= cpus.numbers.n * (512 << 10),
              "rings large enough to lose nothing at high rates",
              "sysctl kernel.perf_event_mlock_kb=2048, or a higher ulimit -l"),
          "%ld KiB a CPU", per_cpu);
    if (memory.rlim_cur == RLIM_INFINITY)
        VALUE(add(knobs, n, "RLIMIT_MEMLOCK", true, "", ""), "unlimited");
    else
        VALUE(add(knobs, n, "RLIMIT_MEMLOCK", true, "", ""), "%llu KiB%s",
              (unsigned long long)memory.rlim_cur >> 10,
              free_lock ? " (not applied: CAP_IPC_LOCK)" : "");
    VALUE(add(knobs, n, "RLIMIT_NOFILE", files.rlim_max >= 1024,
              "processes with many threads: two files for each thread and CPU",
              "ulimit -Hn 65536"),
          "%llu (at most %llu)", (unsigned long long)files.rlim_cur,
          (unsigned long long)files.rlim_max);
    cprof_vec_free(&cpus.numbers);
}

static void probe_seccomp(struct cprof_knob *knobs, size_t *n)
{
    uint64_t mode = 0;
    int r = cprof_probe_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY, false);
    bool is_blocked;

    status_field(getpid(), "\nSeccomp:\t", 10, &mode);
    is_blocked = r == -ENOSYS || (mode && r == -EPERM);
    VALUE(add(knobs, n, "seccomp", !is_blocked, "perf_event_open(2), so all recording",
              "a seccomp profile that allows perf_event_open"
              " (containers: --security-opt seccomp=..., --cap-add PERFMON)"),
          "%s",
          mode == 2   ? "filter"
          : mode == 1 ? "strict"
                      : "off");
}

static void probe_events(struct cprof_knob *knobs, size_t *n)
{
    int pmu = cprof_probe_event(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false);
    int clock = cprof_probe_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, false);

    VALUE(add(knobs, n, "hardware PMU", pmu == 0,
              "hardware events (cycles, cache-misses); the clock is sampled instead",
              "none in this machine: virtual machines often have no PMU"),
          "%s", pmu == 0 ? "cycles" : strerror(-pmu));
    VALUE(add(knobs, n, "event task-clock", clock == 0, "recording",
              "see kernel.perf_event_paranoid and seccomp"),
          "%s", clock == 0 ? "works" : strerror(-clock));
}

static void probe_kernel_names(struct cprof_knob *knobs, size_t *n)
{
    long restricted = 0;
    FILE *file = fopen("/proc/kallsyms", "re");
    unsigned long long address = 0;
    bool ok = file && fscanf(file, "%llx", &address) == 1 && address;

    if (!ok && file) /* per-CPU symbols come first and may be 0: look at a few more */
        for (int i = 0; i < 256 && !address; i++)
            if (fscanf(file, "%*[^\n]\n%llx", &address) < 0)
                break;
    if (file)
        fclose(file);
    cprof_proc_number("/proc/sys/kernel/kptr_restrict", &restricted);
    VALUE(
        add(knobs, n, "kernel.kptr_restrict", address != 0, "names of kernel functions",
            "sysctl kernel.kptr_restrict=0, and CAP_SYSLOG or perf_event_paranoid <= 1"),
        "%ld", restricted);
}

static void probe_tracefs(struct cprof_knob *knobs, size_t *n)
{
    static const char *const places[] = {"/sys/kernel/tracing/events",
                                         "/sys/kernel/debug/tracing/events"};
    bool ok = access(places[0], R_OK | X_OK) == 0 || access(places[1], R_OK | X_OK) == 0;

    VALUE(add(knobs, n, "tracefs", ok, "tracepoints (not used by cpu profiles)",
              "mount -t tracefs nodev /sys/kernel/tracing, and read access to it"),
          "%s", ok ? "readable" : "not readable");
}

static void probe_target(pid_t pid, struct cprof_knob *knobs, size_t *n)
{
    struct cprof_proc_status status;
    char name[40], path[64], text[8];
    int r = cprof_proc_status(pid, pid, &status);
    bool is_mine;

    snprintf(name, sizeof(name), "process %d", pid);
    if (r < 0) {
        VALUE(add(knobs, n, name, false, "recording it", "check the number"), "%s",
              r == -ESRCH ? "does not exist" : strerror(-r));
        return;
    }
    if (status.state == 'Z' || status.is_kernel_thread) {
        VALUE(add(knobs, n, name, false, "recording it: it runs no user code", ""), "%s",
              status.is_kernel_thread ? "kernel thread" : "zombie");
        return;
    }
    is_mine = cprof_probe_is_privileged() || status.uid == getuid();
    VALUE(add(knobs, n, name, is_mine, "recording it: it belongs to another user",
              "run as that user, as root, or with CAP_PERFMON and CAP_SYS_PTRACE"),
          "user %u, state %c", status.uid, status.state);
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    r = readlink(path, text, sizeof(text)) < 0 ? -errno : 0;
    VALUE(
        add(knobs, n, "its files and maps", r == 0, "names of its functions",
            "run as the same user or root; processes that changed user are not dumpable"),
        "%s", r == 0 ? "readable" : strerror(-r));
}

/* Stacks longer than their copy are read on in the process. */
static void probe_memory(pid_t pid, struct cprof_knob *knobs, size_t *n)
{
    bool may_all = cprof_probe_has_capability(CPROF_CAP_SYS_PTRACE);
    long scope = 0;
    int r = cprof_proc_number("/proc/sys/kernel/yama/ptrace_scope", &scope);
    bool is_ok = pid > 0 ? cprof_live_check(pid) != -EPERM : may_all || scope <= 1;
    struct cprof_knob *knob =
        add(knobs, n, "kernel.yama.ptrace_scope", is_ok,
            "stacks longer than their copy (they end as truncated)",
            scope ? "sysctl kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE"
                  : "run as the user of the process, or with CAP_SYS_PTRACE");

    if (r < 0)
        VALUE(knob, "not there");
    else
        VALUE(knob, "%ld", scope);
}

size_t cprof_probe_knobs(pid_t pid, struct cprof_knob knobs[CPROF_MAX_KNOBS])
{
    size_t n = 0;

    probe_paranoid(knobs, &n);
    probe_capabilities(knobs, &n);
    probe_limits(knobs, &n);
    probe_seccomp(knobs, &n);
    probe_events(knobs, &n);
    probe_kernel_names(knobs, &n);
    probe_tracefs(knobs, &n);
    probe_memory(pid, knobs, &n);
    if (pid > 0)
        probe_target(pid, knobs, &n);
    return n;
}

int cprof_probe_refusal(int code, pid_t pid, bool wants_kernel, struct cprof_error *err)
{
    long paranoid = cprof_probe_paranoid();
    struct cprof_proc_status status = {0};
    char value[64];
    uint64_t seccomp = 0;

    snprintf(value, sizeof(value), "%ld", paranoid);
    if (pid > 0 && cprof_proc_status(pid, pid, &status) == 0 && status.uid != getuid() &&
        !cprof_probe_has_capability(CPROF_CAP_SYS_PTRACE)) {
        cprof_error_set(err, code, "session: process %d belongs to user %u, not to you",
                        pid, status.uid);
        snprintf(value, sizeof(value), "user %u", getuid());
        cprof_error_refused(err, "capabilities", value,
                            "run as that user or as root, or with CAP_PERFMON and "
                            "CAP_SYS_PTRACE");
    } else if (paranoid > 2 || wants_kernel) {
        cprof_error_set(err, code,
                        "session: the kernel refuses %s (perf_event_paranoid %ld)",
                        wants_kernel ? "to sample the kernel" : "to sample", paranoid);
        cprof_error_refused(err, "kernel.perf_event_paranoid", value,
                            wants_kernel
                                ? "sysctl kernel.perf_event_paranoid=1, or run with "
                                  "CAP_PERFMON"
                                : "sysctl kernel.perf_event_paranoid=2, or run with "
                                  "CAP_PERFMON");
    } else if (status_field(getpid(), "\nSeccomp:\t", 10, &seccomp) && seccomp) {
        cprof_error_set(err, code,
                        "session: perf_event_open(2) is refused by a seccomp filter");
        cprof_error_refused(err, "seccomp", "filter",
                            "allow perf_event_open in the container's seccomp profile, "
                            "--cap-add PERFMON");
    } else {
        cprof_error_set(err, code, "session: the kernel refuses to sample process %d: %s",
                        pid, strerror(-code));
        cprof_error_refused(
            err, "capabilities", "not enough",
            "the process may not be dumpable (it changed user): run as root");
    }
    return code;
}
