/* Keeps account of what a loss of power would take: loaded with LD_PRELOAD into the gateway.
 *
 * Everything passes through to the system. For files below POWERLOSS_DIR a log (POWERLOSS_LOG) is kept of what is
 * written and not flushed: the old bytes before each write, each flush after it, each rename before it. The log is
 * written with plain write(2), so it survives the SIGKILL that stands for the loss of power; `powerloss.py` then puts
 * old bytes back. A flush takes POWERLOSS_SLOW_US longer, and one of a directory five times that, so that the power is
 * often lost before it. With POWERLOSS_LYING none is noted: a disk that says it flushed and did not, for the control.
 *
 * A record is a kind, an inode, an offset, a length and so many bytes:
 *   W  the sectors that a write touches, as they were (fewer bytes at the end of the file); offset is a sector's
 *   N  where that write ends (follows its W)
 *   S  the file is flushed     C  likewise `commit`, a shared mapping: its bytes as flushed
 *   R  a rename, "from\0to"    D  the directory is flushed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512
#define PAGE 4096

struct record {
    uint64_t kind, inode, offset, length;
};

static const char *directory;
static int log_file = -1, lying;
static unsigned slow_us;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fdatasync)(int), (*real_fsync)(int), (*real_rename)(const char *, const char *);

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("POWERLOSS_LOG");
    directory = getenv("POWERLOSS_DIR");
    lying = getenv("POWERLOSS_LYING") != NULL;
    slow_us = getenv("POWERLOSS_SLOW_US") ? (unsigned)atoi(getenv("POWERLOSS_SLOW_US")) : 0;
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_rename = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (log && directory)
        log_file = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void note(char kind, uint64_t inode, uint64_t offset, const void *bytes, size_t length) {
    struct record head = {(uint64_t)kind, inode, offset, length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)bytes, length}};
    pthread_mutex_lock(&turn);
    if (writev(log_file, parts, 2) != (ssize_t)(sizeof head + length))
        abort(); /* an account with a hole would blame the gateway */
    pthread_mutex_unlock(&turn);
}

/* The path of a file below the directory; NULL for any other. */
static const char *watched(int fd, char path[PATH_MAX]) {
    char link[64];
    if (log_file < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return strncmp(path, directory, strlen(directory)) == 0 ? path : NULL;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    char path[PATH_MAX];
    struct stat about;
    if (watched(fd, path) && fstat(fd, &about) == 0) {
        off64_t from = offset / SECTOR * SECTOR, to = (offset + (off64_t)length + SECTOR - 1) / SECTOR * SECTOR;
        void *old = malloc((size_t)(to - from));
        ssize_t got = old ? pread64(fd, old, (size_t)(to - from), from) : -1;
        if (got < 0)
            abort();
        note('W', about.st_ino, (uint64_t)from, old, (size_t)got);
        note('N', about.st_ino, (uint64_t)to, NULL, 0);
        free(old);
    }
    return real_pwrite(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

static int flushed(int fd, int (*flush)(int)) {
    char path[PATH_MAX], page[PAGE];
    struct stat about;
    const char *name = watched(fd, path);
    if (!name || fstat(fd, &about) != 0)
        return flush(fd);
    int folder = S_ISDIR(about.st_mode), commit = strcmp(name + strlen(name) - strlen("/commit"), "/commit") == 0;
    /* Read before the flush: what is stored into the mapping meanwhile may or may not be in it. */
    ssize_t got = commit ? pread(fd, page, sizeof page, 0) : 0;
    usleep(folder ? 5 * slow_us : slow_us);
    int result = flush(fd);
    if (result == 0 && !lying && !(folder && strcmp(name, directory) != 0))
        note(folder ? 'D' : commit ? 'C' : 'S', about.st_ino, 0, page, got > 0 ? (size_t)got : 0);
    return result;
}

int fdatasync(int fd) { return flushed(fd, real_fdatasync); }

int fsync(int fd) { return flushed(fd, real_fsync); }

int rename(const char *from, const char *to) {
    if (log_file >= 0 && strncmp(to, directory, strlen(directory)) == 0) {
        char both[2 * PATH_MAX];
        size_t length = strlen(from) + 1 + strlen(to);
        if (length >= sizeof both)
            abort();
        strcpy(both, from);
        strcpy(both + strlen(from) + 1, to);
        note('R', 0, 0, both, length);
    }
    return real_rename(from, to);
}
