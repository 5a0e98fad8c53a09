/* The SMTP server engine between a hostile client and a moody relay.
 *
 * Input: octet 0 chooses the listener, octet 1 how the rest is cut; octet FF in the rest is followed by an event
 * (time-out, drain, a full queue, ...). Checked besides the assertions of engine and fake world: content handed to
 * the queue is canonical; 250 is only said to what was handed over; without events the replies do not depend on how
 * the input is cut.
 */
#include "smtpd_fake.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void world_init(struct fake *f, uint8_t mode)
{
	fake_init(f);
	f->listener.tls = (enum conf_listener_tls)(mode % 3);
	f->listener.auth = mode & 4 ? CONF_AUTH_NONE : CONF_AUTH_REQUIRED;
	f->listener.bare_newline = mode & 8 ? CONF_BARE_REJECT : CONF_BARE_NORMALISE;
	f->options.extensions = mode & 16 ? SMTPD_EXT_8BITMIME | SMTPD_EXT_SMTPUTF8 | SMTPD_EXT_DSN | SMTPD_EXT_CHUNKING : 0;
	f->window = mode & 32 ? 7 : 4096;
	f->conf.limit.message_size = mode & 64 ? 200 : 1 << 20;
	f->conf.limit.header_size = mode & 128 ? 100 : 4096;
	f->conf.limit.commands_without_mail = 1000;
	f->conf.limit.bad_commands = 1000;
}

static void event(struct fake *f, uint8_t which)
{
	struct wire_reply lost = {451, {4, 3, 0}, SLICE_LIT("lost")};
	switch (which % 8) {
	case 0:
		smtpd_session_timeout(f->s);
		break;
	case 1:
		f->hold = !f->hold;
		break;
	case 2:
		smtpd_session_drain(f->s);
		break;
	case 3:
		smtpd_session_expire(f->s);
		break;
	case 4:
		if (f->streaming || f->want_result) {
			f->streaming = f->want_result = false;
			smtpd_session_result(f->s, &lost);
		}
		break;
	case 5:
		f->welcome = !f->welcome;
		break;
	case 6:
		f->ids = !f->ids;
		break;
	case 7:
		f->handover = !f->handover;
		break;
	}
	fake_pump(f);
}

static void check_content(const struct fake *f)
{
	struct slice c = buf_slice(&f->content);
	for (size_t i = 0; i < c.len; i++) {
		ASSERT(c.ptr[i] != '\n' || (i > 0 && c.ptr[i - 1] == '\r'));
		ASSERT(c.ptr[i] != '\r' || i + 1 == c.len || c.ptr[i + 1] == '\n');
	}
	ASSERT(f->accepted <= f->ended && f->ended <= f->begun);
}

static void run(struct fake *f, struct slice in, size_t piece)
{
	while (in.len && !f->closed) {
		size_t mark = MIN(slice_find(in, (char)0xff), in.len);
		struct slice part = slice_sub(in, 0, MIN(mark, piece));
		in = slice_from(in, part.len);
		fake_feed(f, part);
		check_content(f);
		if (part.len == mark && in.len >= 2) {
			event(f, (uint8_t)in.ptr[1]);
			in = slice_from(in, 2);
		} else if (part.len == mark) {
			break;
		}
	}
}

/* One packet and octet by octet must sound the same. STARTTLS drops what is pipelined and so depends on the cut. */
static void compare(uint8_t mode, struct slice in)
{
	struct fake one, many;
	world_init(&one, mode);
	world_init(&many, mode);
	one.listener.tls = many.listener.tls = CONF_LISTENER_NONE;
	fake_start(&one);
	fake_start(&many);
	run(&one, in, SIZE_MAX);
	run(&many, in, 1);
	ASSERT(slice_eq(buf_slice(&one.out), buf_slice(&many.out)));
	ASSERT(one.accepted == many.accepted && one.closed == many.closed);
	fake_done(&one);
	fake_done(&many);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake f;
	if (size < 2 || size > 65536)
		return 0;
	struct slice in = slice_of(data + 2, size - 2);
	world_init(&f, data[0]);
	fake_start(&f);
	run(&f, in, data[1] ? data[1] : SIZE_MAX);
	fake_done(&f);
	if (slice_find(in, (char)0xff) == SLICE_NPOS &&
	    slice_ifind_slice(in, SLICE_LIT("X-Fake: refuse")) == SLICE_NPOS)
		compare(data[0], in);
	return 0;
}
