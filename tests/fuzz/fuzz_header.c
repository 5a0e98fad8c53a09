/* Any octets as a message. Fields follow one another without a gap up to the empty line; what is unfolded has no line ends;
 * addresses lie within their value. Dates, too: what is read can be written and read again. */
#include "mail/date.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct slice part, struct slice whole)
{
	return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_addresses(struct slice value)
{
	struct header_address_iter it = header_addresses_of(value);
	struct header_address a;
	uint32_t n = 0;
	while (header_next_address(&it, &a)) {
		ASSERT(a.address.len > 0 && within(a.address, value) && within(a.display, value));
		ASSERT(++n <= HEADER_ADDRESSES_MAX);
	}
}

static void check_date(struct slice value)
{
	struct buf out;
	int64_t ms, again;
	if (mail_date_parse(value, &ms) != ERR_OK)
		return;
	buf_init(&out, MAIL_DATE_MAX);
	mail_date_format(ms, &out);
	ASSERT(out.failed == ERR_OK && mail_date_parse(buf_slice(&out), &again) == ERR_OK && again == ms);
	buf_done(&out);
}

static void check_field(const struct header_field *f, struct slice message, size_t offset)
{
	struct buf flat;
	ASSERT(f->offset == offset && f->raw.ptr == message.ptr + offset && f->raw.len > 0);
	ASSERT(within(f->name, f->raw) && within(f->value, f->raw) && f->malformed == (f->name.len == 0));
	buf_init(&flat, f->value.len + 1);
	header_unfold(f->value, &flat);
	ASSERT(flat.failed == ERR_OK && flat.len <= f->value.len);
	ASSERT(slice_find(buf_slice(&flat), '\n') == SLICE_NPOS &&
	       slice_find(buf_slice(&flat), '\r') == SLICE_NPOS);
	check_addresses(f->value);
	check_date(buf_slice(&flat));
	buf_done(&flat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message = slice_of(data, size);
	struct header_iter it = header_iter_of(message);
	struct header_field f;
	size_t offset = 0, section = header_section_length(message);
	ASSERT(section <= size);
	while (header_next(&it, &f)) {
		check_field(&f, message, offset);
		offset += f.raw.len;
	}
	ASSERT(offset <= section);
	return 0;
}
