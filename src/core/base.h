/* Compiler attributes and the one assertion macro. Everything in the house includes this.
 *
 * ASSERT states a bug in our own code and stays in release builds; it never judges input.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTR_PRINTF(fmt, args)          __attribute__((format(printf, fmt, args)))
#define MUST_CHECK                      __attribute__((warn_unused_result))
#define CLEANUP(fn)                     __attribute__((cleanup(fn)))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

/* Prints "file:line: bug: expr" to standard error and aborts. */
__attribute__((noreturn, cold)) void base_bug(const char *file, int line, const char *expr);

#define ASSERT(expr) (__builtin_expect(!!(expr), 1) ? (void)0 : base_bug(__FILE__, __LINE__, #expr))

/* Closes *fd if it is >= 0 (for CLEANUP on descriptors); sets it to -1. Keeps errno. */
void base_close(int *fd);
