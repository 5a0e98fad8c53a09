/* What cmocka wants before its header, a seeded generator (the same run on every machine), and slices in asserts. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/buf.h"

static inline uint64_t unit_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint32_t unit_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(unit_random(state) % n);
}

/* Fails with both texts in view. */
static inline void unit_slice_is(struct slice got, struct slice want, const char *file, int line)
{
	if (slice_eq(got, want))
		return;
	print_error("got  \"%.*s\"\nwant \"%.*s\"\n", SLICE_ARG(got), SLICE_ARG(want));
	_fail(file, line);
}

#define assert_slice(got, want) unit_slice_is((got), slice_str(want), __FILE__, __LINE__)
#define assert_buf(b, want)     assert_slice(buf_slice(b), want)

/* A slice of a string literal that may hold NUL. */
#define S(lit) SLICE_LIT(lit)
