#include "mail/charset.h"

#include "core/text.h"

static const struct {
	const char *label;
	enum charset charset;
} labels[] = {
	{"utf-8", CHARSET_UTF_8},
	{"utf8", CHARSET_UTF_8},
	{"iso-8859-1", CHARSET_WINDOWS_1252},
	{"us-ascii", CHARSET_WINDOWS_1252},
	{"windows-1252", CHARSET_WINDOWS_1252},
	{"iso-8859-15", CHARSET_ISO_8859_15},
	{"iso-8859-2", CHARSET_ISO_8859_2},
	{"iso-8859-5", CHARSET_ISO_8859_5},
	{"iso-8859-7", CHARSET_ISO_8859_7},
	{"iso-8859-9", CHARSET_ISO_8859_9},
	{"koi8-r", CHARSET_KOI8_R},
	{"koi8-u", CHARSET_KOI8_U},
	{"windows-1250", CHARSET_WINDOWS_1250},
	{"windows-1251", CHARSET_WINDOWS_1251},
	{"windows-1253", CHARSET_WINDOWS_1253},
	{"windows-1254", CHARSET_WINDOWS_1254},
	{"windows-1255", CHARSET_WINDOWS_1255},
	{"windows-1256", CHARSET_WINDOWS_1256},
	{"windows-1257", CHARSET_WINDOWS_1257},
	{"windows-1258", CHARSET_WINDOWS_1258},
	{"ascii", CHARSET_WINDOWS_1252},
	{"latin1", CHARSET_WINDOWS_1252},
	{"iso8859-1", CHARSET_WINDOWS_1252},
	{"iso8859-15", CHARSET_ISO_8859_15},
	{"latin-9", CHARSET_ISO_8859_15},
};

enum charset charset_by_name(struct slice label)
{
	if (label.len == 6 && slice_istarts(label, SLICE_LIT("cp125"))) {
		char number = label.ptr[5];
		return ascii_is_digit(number) && number <= '8'
			       ? CHARSET_WINDOWS_1250 + (enum charset)(number - '0')
			       : CHARSET_UNKNOWN;
	}
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (slice_ieq_str(label, labels[i].label))
			return labels[i].charset;
	return CHARSET_UNKNOWN;
}

static void from_utf8(struct slice in, struct buf *out)
{
	while (in.len) {
		size_t n = utf8_next(in, NULL);
		if (n)
			buf_add(out, slice_sub(in, 0, n));
		else
			utf8_put(out, 0xfffd);
		in = slice_from(in, n ? n : 1);
	}
}

void charset_to_utf8(enum charset from, struct slice in, struct buf *out)
{
	ASSERT(from > CHARSET_UNKNOWN && from < CHARSET_COUNT);
	if (from == CHARSET_UTF_8) {
		from_utf8(in, out);
		return;
	}
	for (size_t i = 0; i < in.len; i++) {
		uint8_t octet = (uint8_t)in.ptr[i];
		uint32_t point = octet < 128 ? octet : charset_table[from][octet - 128];
		utf8_put(out, point || octet == 0 ? point : 0xfffd);
	}
}
