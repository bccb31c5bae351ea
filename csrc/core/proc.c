#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int cprof_proc_read(const char *path, size_t max, char **ret, size_t *n)
{
    /* not blocking: a FIFO under a target's name must not stop us */
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    CPROF_VEC(char) text = {0};
    ssize_t got;

    if (fd < 0)
        return -errno;
    do {
        if (text.n > max) {
            cprof_vec_free(&text);
            return -EFBIG;
        }
        if (cprof_vec_reserve(&text, text.n + 4096) < 0) {
            cprof_vec_free(&text);
            return -ENOMEM;
        }
        got = read(fd, text.data + text.n, text.capacity - text.n - 1);
        if (got < 0 && errno != EINTR) {
            int r = -errno;
            cprof_vec_free(&text);
            return r;
        }
        text.n += got > 0 ? (size_t)got : 0;
    } while (got);
    text.data[text.n] = '\0';
    *ret = text.data;
    *n = text.n;
    return 0;
}

int cprof_proc_number(const char *path, long *ret)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    char *end;
    long value;
    int r = cprof_proc_read(path, 4096, &text, &n);

    if (r < 0)
        return r;
    value = strtol(text, &end, 10);
    if (end == text)
        return -EBADMSG;
    *ret = value;
    return 0;
}

int cprof_proc_tasks(pid_t pid, struct cprof_tasks *tasks)
{
    char path[64];
    struct dirent *entry;
    DIR *dir;
    int r = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? -ESRCH : -errno;
    tasks->ids.n = 0;
    while (!r && (entry = readdir(dir))) {
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid > 0 && tasks->ids.n < CPROF_MAX_TASKS)
            r = cprof_vec_push(&tasks->ids, (pid_t)tid);
    }
    closedir(dir);
    if (!r && !tasks->ids.n)
        r = -ESRCH;
    return r;
}

void cprof_proc_comm(pid_t pid, pid_t tid, char name[CPROF_COMM_MAX])
{
    char path[64];
    _cleanup_free_ char *text = NULL;
    size_t n;

    name[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
    if (cprof_proc_read(path, 4096, &text, &n) < 0)
        return;
    if (n && text[n - 1] == '\n') /* others are part of the name, as in records */
        text[n - 1] = '\0';
    snprintf(name, CPROF_COMM_MAX, "%s", text);
}

void cprof_proc_command(pid_t pid, char *text, size_t room)
{
    char path[64], name[CPROF_COMM_MAX];
    _cleanup_free_ char *args = NULL;
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    if (cprof_proc_read(path, 1 << 22, &args, &n) < 0 || !n) {
        cprof_proc_comm(pid, pid, name);
        snprintf(text, room, "[%s]", name);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!args[i])
            args[i] = ' ';
    while (n && args[n - 1] == ' ') /* titles set by the process are padded */
        args[--n] = '\0';
    snprintf(text, room, "%s", args);
}

int cprof_proc_status(pid_t pid, pid_t tid, struct cprof_proc_status *ret)
{
    enum { PF_KTHREAD = 0x00200000 };
    char path[64];
    _cleanup_free_ char *text = NULL;
    size_t n;
    const char *after_name;
    unsigned flags;
    struct stat st;
    int r;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
    r = cprof_proc_read(path, 65536, &text, &n);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    after_name = strrchr(text, ')'); /* the name itself may hold anything */
    if (!after_name || sscanf(after_name + 1, " %c %d %*d %*d %*d %*d %u", &ret->state,
                              &ret->parent, &flags) != 3)
        return -EBADMSG;
    ret->is_kernel_thread = flags & PF_KTHREAD;
    ret->uid = stat(path, &st) == 0 ? st.st_uid : 0;
    return 0;
}

/* A hexadecimal number up to `stop`, which is stepped over. */
static bool number(char **at, char stop, uint64_t *ret)
{
    size_t n = strspn(*at, "0123456789abcdef");

    if (!n || n > 16 || (*at)[n] != stop)
        return false;
    *ret = strtoull(*at, NULL, 16);
    *at += n + 1;
    return true;
}

bool cprof_proc_parse_map(char *line, struct cprof_mmap *ret)
{
    uint64_t end, major, minor;
    size_t n_digits;
    char *at = line;

    memset(ret, 0, sizeof(*ret));
    if (!number(&at, '-', &ret->start) || !number(&at, ' ', &end) || end <= ret->start ||
        strnlen(at, 5) < 5 || at[4] != ' ')
        return false;
    ret->length = end - ret->start;
    ret->protection = (at[0] == 'r') | (at[1] == 'w') << 1 | (at[2] == 'x') << 2;
    ret->flags = at[3] == 's' ? 1 : 2; /* MAP_SHARED, MAP_PRIVATE */
    at += 5;
    if (!number(&at, ' ', &ret->offset) || !number(&at, ':', &major) ||
        !number(&at, ' ', &minor))
        return false;
    ret->major = (uint32_t)major;
    ret->minor = (uint32_t)minor;
    n_digits = strspn(at, "0123456789");
    if (!n_digits || (at[n_digits] && at[n_digits] != ' '))
        return false;
    ret->inode = strtoull(at, &at, 10);
    while (*at == ' ' || *at == '\t')
        at++;
    ret->file = at;
    return true;
}

int cprof_proc_last_nspid(pid_t pid, pid_t *ret)
{
    char path[64];
    _cleanup_free_ char *text = NULL;
    char *line, *last;
    size_t n;
    int r;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    r = cprof_proc_read(path, 65536, &text, &n);
    if (r < 0)
        return r;
    line = strstr(text, "\nNSpid:");
    if (!line)
        return -ENOENT;
    line += 7;
    line[strcspn(line, "\n")] = '\0';
    last = strrchr(line, '\t');
    *ret = (pid_t)strtol(last ? last : line, NULL, 10);
    return *ret > 0 ? 0 : -ENOENT;
}

bool cprof_proc_has_own_mounts(pid_t pid)
{
    char path[64];
    struct stat theirs, ours;

    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
    if (stat(path, &theirs) < 0 || stat("/proc/self/ns/mnt", &ours) < 0)
        return false;
    if (theirs.st_ino != ours.st_ino)
        return true;
    /* the same namespace, but perhaps another root (chroot) */
    snprintf(path, sizeof(path), "/proc/%d/root/.", pid);
    return stat(path, &theirs) == 0 && stat("/.", &ours) == 0 &&
           (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev);
}
