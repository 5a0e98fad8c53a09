/* Character sets of mail, to UTF-8. Pure; own tables, since iconv reads files and children have none.
 *
 * Single-octet sets are 128 code points for the octets 0x80 to 0xFF; the lower half is ASCII in all of them. Labels are
 * those of the IANA registry and the names that mail really uses. As mail clients do, "ISO-8859-1" and "US-ASCII" are read
 * as Windows-1252, which only adds characters where those have none to show (WHATWG Encoding 4.2).
 */
#pragma once

#include "core/buf.h"

enum charset {
	CHARSET_UNKNOWN,
	CHARSET_UTF_8,
	CHARSET_ISO_8859_2,
	CHARSET_ISO_8859_5,
	CHARSET_ISO_8859_7,
	CHARSET_ISO_8859_9,
	CHARSET_ISO_8859_15,
	CHARSET_KOI8_R,
	CHARSET_KOI8_U,
	CHARSET_WINDOWS_1250,
	CHARSET_WINDOWS_1251,
	CHARSET_WINDOWS_1252,
	CHARSET_WINDOWS_1253,
	CHARSET_WINDOWS_1254,
	CHARSET_WINDOWS_1255,
	CHARSET_WINDOWS_1256,
	CHARSET_WINDOWS_1257,
	CHARSET_WINDOWS_1258,
	CHARSET_COUNT
};

/* Case does not matter. CHARSET_UNKNOWN: not one of ours. */
enum charset charset_by_name(struct slice label);

/* Appends `in` as UTF-8: at most three octets for each. What the set does not define, and malformed UTF-8, becomes
 * U+FFFD. `from` is not CHARSET_UNKNOWN. */
void charset_to_utf8(enum charset from, struct slice in, struct buf *out);

/* Octets 0x80 to 0xFF of each single-octet set; 0: undefined. charset_table.c, made by tools/charsets. */
extern const uint16_t charset_table[CHARSET_COUNT][128];
