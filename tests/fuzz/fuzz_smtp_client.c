/* The client engine against a server that says whatever the input holds: its first octet chooses the session, a second
 * one the size of the pieces, the rest is sent as replies whatever was asked. The driver's own checks (each recipient
 * once, nothing delivered without a reply to the final dot, bounded memory) must hold. */
#include "smtpc_fake.h"

#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MODE_TLS = 3,
	MODE_NO_PIPELINING = 4,
	MODE_AUTH = 8,
	MODE_8BIT = 16,
	MODE_UTF8 = 32,
	MODE_TLS_FAILS = 64
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake f;
	if (size < 2)
		return 0;
	fake_init(&f);
	f.options.tls = (enum wire_tls_level)(data[0] & MODE_TLS);
	f.options.no_pipelining = data[0] & MODE_NO_PIPELINING;
	f.options.auth_user = data[0] & MODE_AUTH ? SLICE_LIT("user") : SLICE_EMPTY;
	f.body = data[0] & MODE_8BIT ? RECORD_BODY_8BITMIME : RECORD_BODY_7BIT;
	f.smtputf8 = data[0] & MODE_UTF8;
	f.tls_fails = data[0] & MODE_TLS_FAILS;
	f.chunk = data[1];
	f.mute = true;
	fake_run(&f);
	buf_add_mem(&f.out, data + 2, size - 2);
	fake_go_on(&f);
	for (int jobs = 0; jobs < 3 && fake_idle(&f); jobs++)
		fake_give_job(&f);
	if (fake_idle(&f)) {
		client_quit(f.client);
		fake_go_on(&f);
	}
	if (!f.ends)
		client_lost(f.client, SLICE_LIT("end of input"));
	ASSERT(f.ends == 1);
	fake_done(&f);
	return 0;
}
