/* Every octet of every set against glibc's iconv, and the labels. */
#include "mail/charset.h"

#include "../unit.h"

#include <iconv.h>

static const struct {
	enum charset charset;
	const char *label, *judge;
} sets[] = {
	{CHARSET_ISO_8859_2, "ISO-8859-2", "ISO-8859-2"},
	{CHARSET_ISO_8859_5, "iso-8859-5", "ISO-8859-5"},
	{CHARSET_ISO_8859_7, "ISO-8859-7", "ISO-8859-7"},
	{CHARSET_ISO_8859_9, "ISO-8859-9", "ISO-8859-9"},
	{CHARSET_ISO_8859_15, "ISO-8859-15", "ISO-8859-15"},
	{CHARSET_KOI8_R, "koi8-r", "KOI8-R"},
	{CHARSET_KOI8_U, "KOI8-U", "KOI8-U"},
	{CHARSET_WINDOWS_1250, "windows-1250", "CP1250"},
	{CHARSET_WINDOWS_1251, "cp1251", "CP1251"},
	{CHARSET_WINDOWS_1252, "Windows-1252", "CP1252"},
	{CHARSET_WINDOWS_1253, "windows-1253", "CP1253"},
	{CHARSET_WINDOWS_1254, "windows-1254", "CP1254"},
	{CHARSET_WINDOWS_1255, "windows-1255", "CP1255"},
	{CHARSET_WINDOWS_1256, "windows-1256", "CP1256"},
	{CHARSET_WINDOWS_1257, "windows-1257", "CP1257"},
	{CHARSET_WINDOWS_1258, "CP1258", "CP1258"},
};

/* What iconv makes of one octet; "\xef\xbf\xbd" if it is not defined. */
static struct slice judged(iconv_t cd, uint8_t octet, char room[16])
{
	char in = (char)octet, *from = &in, *to = room;
	size_t left = 1, space = 15;
	if (iconv(cd, &from, &left, &to, &space) == (size_t)-1)
		return SLICE_LIT("\xef\xbf\xbd");
	(void)iconv(cd, NULL, NULL, &to, &space); /* combining sets hold a letter back */
	return slice_of(room, (size_t)(to - room));
}

static void test_tables(void **state)
{
	for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
		iconv_t cd = iconv_open("UTF-8", sets[s].judge);
		assert_ptr_not_equal(cd, (iconv_t)-1);
		for (unsigned octet = 0; octet < 256; octet++) {
			CLEANUP(buf_done) struct buf out;
			uint8_t c = (uint8_t)octet;
			char room[16];
			buf_init(&out, 16);
			charset_to_utf8(sets[s].charset, slice_of(&c, 1), &out);
			struct slice wanted = judged(cd, c, room);
			if (!slice_eq(buf_slice(&out), wanted))
				fail_msg("%s 0x%02x: %.*s, iconv says %.*s", sets[s].judge, octet,
					 SLICE_ARG(buf_slice(&out)), SLICE_ARG(wanted));
		}
		iconv_close(cd);
	}
}

static void test_labels(void **state)
{
	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		assert_int_equal(charset_by_name(slice_str(sets[s].label)), sets[s].charset);
	assert_int_equal(charset_by_name(SLICE_LIT("UTF-8")), CHARSET_UTF_8);
	assert_int_equal(charset_by_name(SLICE_LIT("us-ascii")), CHARSET_WINDOWS_1252);
	assert_int_equal(charset_by_name(SLICE_LIT("iso-8859-1")), CHARSET_WINDOWS_1252);
	static const char *const unknown[] = {"",        "utf-7",        "cp1259", "cp125",
					      "cp12510", "windows-1259", "gb2312"};
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_int_equal(charset_by_name(slice_str(unknown[i])), CHARSET_UNKNOWN);
}

static void test_utf8(void **state)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 100);
	charset_to_utf8(CHARSET_UTF_8, SLICE_LIT("a\xc3\xa4\xff\xe2\x82z"), &out);
	assert_buf(&out, "a\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
