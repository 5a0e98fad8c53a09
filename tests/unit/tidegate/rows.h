/* Recorded answers for the tests of what tidegate shows. */
#pragma once

#include "ctl/control.h"
#include "tidegate/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 1795451000000 /* 2026-11-23T16:23:20Z */

/* Adds the fields as a row of the table, the way it comes from the wire. */
static inline enum err add_row(struct render *r, enum ctl_table table, struct ctl_fields *f)
{
	struct ctl_frame frame;
	struct buf b;
	size_t used;
	enum err e;

	buf_init(&b, CTL_FRAME_MAX);
	assert_int_equal(ctl_encode_row(&b, table, f), ERR_OK);
	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	e = render_add(r, &frame);
	ctl_fields_clear(f);
	buf_done(&b);
	return e;
}

static inline struct render rendering(enum ctl_verb verb)
{
	struct render_options o = {.now_ms = NOW};
	struct render r;

	render_init(&r, ctl_verb_info(verb), &o);
	return r;
}

static inline void add_queue(struct render *r)
{
	struct ctl_fields f;

	ctl_fields_init(&f);
	ctl_add_str(&f, "id", "A1");
	ctl_add_str(&f, "state", "deferred");
	ctl_add_time(&f, "arrived", NOW - 3600000 * 3);
	ctl_add_size(&f, "size", 2048);
	ctl_add_str(&f, "server", "houston");
	ctl_add_str(&f, "account", "www");
	ctl_add_str(&f, "sender",
		    "b\xc3\xbc"
		    "cher@example.net");
	ctl_add_u64(&f, "recipients", 12);
	ctl_add_u64(&f, "pending", 2);
	ctl_add_time(&f, "next_try", NOW + 300000);
	ctl_add_str(&f, "last_reply", "451 4.7.1 \x1b[31mtry later\r\n");
	assert_int_equal(add_row(r, CTL_T_MESSAGE, &f), ERR_OK);
	ctl_add_str(&f, "id", "A2");
	ctl_add_str(&f, "state", "queued");
	ctl_add_time(&f, "arrived", NOW - 5000);
	ctl_add_size(&f, "size", 50);
	ctl_add_str(&f, "server", "a");
	ctl_add_str(&f, "sender", "\xe6\x97\xa5\xe6\x9c\xac@x");
	ctl_add_u64(&f, "recipients", 1);
	ctl_add_u64(&f, "pending", 1);
	ctl_add_null(&f, "next_try");
	assert_int_equal(add_row(r, CTL_T_MESSAGE, &f), ERR_OK);
	ctl_fields_done(&f);
}
