/* The only door to the heap outside arenas and buffers. Tests fail the n-th call through mem_fail_after. */
#pragma once

#include "core/base.h"

void *mem_alloc(size_t n);           /* zeroed; NULL without memory */
void *mem_resize(void *p, size_t n); /* realloc; the new part is not zeroed */
void mem_free(void *p);              /* NULL is fine */
char *mem_strdup(const char *z);     /* NULL for NULL or without memory */

/* Testing: let `n` more allocations succeed and fail the one after, once. SIZE_MAX switches it off. */
void mem_fail_after(size_t n);

#define NEW(type) ((type *)mem_alloc(sizeof(type)))
