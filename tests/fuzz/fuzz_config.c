/* Any text as a configuration: refused with words, or accepted; what was accepted survives an epoch and can be shown
 * and loaded again. */
#include "conf/conf.h"
#include "conf/epoch.h"
#include "conf/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_shown(const struct conf *c)
{
	struct conf *again = NULL;
	struct buf first, second;

	buf_init(&first, CONF_EPOCH_MAX);
	buf_init(&second, CONF_EPOCH_MAX);
	conf_show(c, &first);
	ASSERT(first.failed == ERR_OK);
	ASSERT(conf_load_text(buf_slice(&first), "shown", &again, NULL) == ERR_OK);
	conf_show(again, &second);
	ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
	conf_unref(again);
	buf_done(&first);
	buf_done(&second);
}

static void send_epoch(const struct conf *c)
{
	struct conf *copy = NULL;
	struct buf octets, again;
	uint64_t epoch = 0;

	buf_init(&octets, CONF_EPOCH_MAX);
	buf_init(&again, CONF_EPOCH_MAX);
	ASSERT(conf_epoch_encode(c, 9, &octets) == ERR_OK);
	ASSERT(conf_epoch_decode(buf_slice(&octets), &copy, &epoch, NULL) == ERR_OK);
	ASSERT(conf_epoch_encode(copy, epoch, &again) == ERR_OK);
	ASSERT(slice_eq(buf_slice(&octets), buf_slice(&again)));
	conf_unref(copy);
	buf_done(&octets);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = NULL;
	struct diag d = {0};
	uint64_t epoch;

	if (conf_load_text(slice_of(data, size), "fuzz", &c, &d) == ERR_OK) {
		load_shown(c);
		send_epoch(c);
		conf_unref(c);
	} else {
		ASSERT(d.code != ERR_OK && d.text[0] != '\0');
	}
	c = NULL;
	if (conf_epoch_decode(slice_of(data, size), &c, &epoch, &d) == ERR_OK)
		conf_unref(c);
	return 0;
}
