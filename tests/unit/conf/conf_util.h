/* Shared by the tests of conf: loading text and comparing the words of an error. */
#pragma once

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static inline struct conf *load_ok(const char *text)
{
	struct conf *c = NULL;
	struct diag d = {0};

	if (conf_load_text(slice_str(text), "t.conf", &c, &d) != ERR_OK)
		fail_msg("%s", d.text);
	return c;
}

/* The text is refused with exactly these words; "t.conf:" stands in front of them. */
static inline void refuse(const char *text, enum err code, const char *words)
{
	struct conf *c = NULL;
	struct diag d = {0};

	assert_int_equal(conf_load_text(slice_str(text), "t.conf", &c, &d), code);
	assert_null(c);
	assert_int_equal(d.code, code);
	assert_string_equal(d.text, words);
}

static inline void assert_slice(struct slice s, const char *z)
{
	if (!slice_eq_str(s, z))
		fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), z);
}
