#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>

static const struct backend backends[] = {
	{"epoll", false, 0},
	{"simulated", true, 0},
	{"simulated, pieces", true, 700},
	{"simulated, octets", true, 1},
};

static int run_table(const struct CMUnitTest *table, size_t n, const struct backend *b)
{
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int failed = 0;

	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){table[i].name, table[i].test_func, suite_setup, suite_teardown,
					       (void *)b};
	failed = _cmocka_run_group_tests(b->name, tests, n, NULL, NULL);
	free(tests);
	return failed;
}

/* Arguments: the back end's name (all without one), a pattern of test names (as cmocka_set_test_filter has it). */
int main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		const struct backend *b = &backends[i];
		if (argc > 1 && strcmp(argv[1], b->name) != 0)
			continue;
		failed += run_table(loop_tests, loop_tests_count, b);
		failed += run_table(net_tests, net_tests_count, b);
		failed += run_table(stream_tests, stream_tests_count, b);
		failed += run_table(tls_tests, tls_tests_count, b);
		failed += run_table(ipc_tests, ipc_tests_count, b);
	}
	return failed != 0;
}
