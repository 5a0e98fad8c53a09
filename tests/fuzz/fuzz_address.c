/* Any octets as a mailbox. What is accepted can be put between the brackets of a command: no controls, no blanks outside of
 * quotes, parts that make up the whole; and read again it is the same. */
#include "core/text.h"
#include "mail/address.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(struct slice text, const struct mail_address *a)
{
	ASSERT(a->local.len > 0 && a->local.ptr == text.ptr && a->local.len <= MAIL_LOCAL_MAX);
	if (a->domain.len) {
		ASSERT(a->local.len + 1 + a->domain.len == text.len && text.ptr[a->local.len] == '@');
		ASSERT(slice_eq(mail_domain_of(text), a->domain));
	} else {
		ASSERT(a->local.len == text.len);
	}
	ASSERT(!slice_has_control(text) && utf8_valid(text) && a->utf8 == !slice_is_ascii(text));
	bool quoted = text.ptr[0] == '"';
	for (size_t i = 0; !quoted && i < a->local.len; i++)
		ASSERT(!strchr(" \"(),:;<>@[]\\", text.ptr[i]));
	for (size_t i = 0; i < a->domain.len; i++)
		ASSERT(!strchr(" \"(),;<>@\\", a->domain.ptr[i]));
}

static void check_xtext(struct slice in)
{
	struct buf coded, back;
	buf_init(&coded, 3 * in.len + 1);
	buf_init(&back, in.len + 1);
	xtext_encode(&coded, in);
	ASSERT(xtext_decode(&back, buf_slice(&coded)) == ERR_OK && slice_eq(buf_slice(&back), in));
	buf_clear(&back);
	if (xtext_decode(&back, in) == ERR_OK)
		ASSERT(back.len <= in.len && !slice_has_control(in));
	buf_done(&coded);
	buf_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);
	struct mail_address a, again;
	struct diag d = {0};
	if (mail_address_parse(text, &a, &d) == ERR_OK) {
		check_parts(text, &a);
		ASSERT(mail_address_parse(text, &again, &d) == ERR_OK && slice_eq(again.local, a.local));
	} else {
		ASSERT(d.text[0]);
	}
	check_xtext(text);
	return 0;
}
