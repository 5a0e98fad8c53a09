/* The two kernel filters of proc_jail: Landlock (paths, TCP, scopes) and seccomp (system calls). */
#pragma once

#include "evio/proc.h"

#if defined(__SANITIZE_ADDRESS__)
#define PROC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define PROC_SANITIZED 1
#endif
#endif
#ifndef PROC_SANITIZED
#define PROC_SANITIZED 0
#endif

/* Bounds what new descriptors may reach: nothing, or with j->files what lies below rootfd (an O_PATH descriptor,
 * -1: no bound on files). no_new_privs must be set. *ret_present false: the kernel has no Landlock. */
MUST_CHECK enum err proc_landlock(const struct proc_jail *j, int rootfd, bool *ret_present, struct diag *d);

/* Lets only the system calls of the role through. *ret_present false: the kernel has no seccomp filters. */
MUST_CHECK enum err proc_seccomp(const struct proc_jail *j, bool *ret_present, struct diag *d);
