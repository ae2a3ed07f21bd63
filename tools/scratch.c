/*
 * scratch.c -- see scratch.h.
 *
 * Directories cannot be removed in a handler, so one only tells a thread which signal came, and waits for the end of the process.
 */
#include "scratch.h"

#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCRATCHES_MAX = 4 }; // at a time: a command has one

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dump_scratch all[SCRATCHES_MAX]; // lock; ""
static int told[2];                            // a byte: the signal

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path); // what is not empty was written to meanwhile
    return 0;
}

static void remove_all(const char *path)
{
    enum { TRIES = 3, DESCRIPTORS = 16 };
    for (int i = 0; i < TRIES && access(path, F_OK) == 0; i++)
        (void)nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static void tell(int sig)
{
    unsigned char byte = (unsigned char)sig;
    if (write(told[1], &byte, 1) == 1)
        for (;;)
            (void)pause();
}

static void *clean_main(void *ignored)
{
    (void)ignored;
    unsigned char sig;
    if (read(told[0], &sig, 1) != 1)
        return NULL;
    pthread_mutex_lock(&lock); // for good
    for (size_t i = 0; i < SCRATCHES_MAX; i++)
        if (all[i].path[0] != '\0')
            remove_all(all[i].path);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, sig);
    (void)signal(sig, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)kill(getpid(), sig);
    return NULL;
}

// Signals that are ignored stay so.
static bool watch(struct err *err)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
    static bool watched;
    sigset_t caught, before;
    pthread_t thread;
    if (watched)
        return true;
    if (pipe(told) != 0)
        return err_errno(err, errno, "pipe");
    (void)sigemptyset(&caught);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        (void)sigaddset(&caught, signals[i]);
    (void)pthread_sigmask(SIG_BLOCK, &caught, &before); // the thread's
    int rc = pthread_create(&thread, NULL, clean_main, NULL);
    assert(rc == 0);
    (void)pthread_detach(thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        struct sigaction old, new = {.sa_handler = tell, .sa_flags = SA_RESTART};
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &new, NULL);
    }
    watched = true;
    return true;
}

// The place of that path in `all`.
static struct dump_scratch *place_of(const char *path)
{
    size_t i = 0;
    while (i < SCRATCHES_MAX && strcmp(all[i].path, path) != 0)
        i++;
    assert(i < SCRATCHES_MAX);
    return &all[i];
}

bool dump_scratch_make(struct dump_scratch *s, struct err *err)
{
    const char *base = getenv("TMPDIR");
    if (!watch(err))
        return false;
    pthread_mutex_lock(&lock); // the directory is never there without being known
    (void)snprintf(s->path, sizeof s->path, "%s/mstore-dump-XXXXXX", base != NULL ? base : "/tmp");
    bool good = mkdtemp(s->path) != NULL || err_errno(err, errno, "%s", s->path);
    if (good)
        *place_of("") = *s;
    else
        s->path[0] = '\0';
    pthread_mutex_unlock(&lock);
    return good;
}

void dump_scratch_done(struct dump_scratch *s)
{
    if (s->path[0] == '\0')
        return;
    remove_all(s->path);
    pthread_mutex_lock(&lock);
    place_of(s->path)->path[0] = '\0';
    pthread_mutex_unlock(&lock);
    s->path[0] = '\0';
}
