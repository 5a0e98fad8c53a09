/* Counts the back end's operations, which over epoll are its system calls: what a test says about cost. */
#pragma once

#include "evio/loop_priv.h"

struct op_counts {
	unsigned waits, updates, reads, writes, sends, receives;
};

/* Puts the counter before the loop's own operations; one loop at a time. */
struct op_counts *counting_start(struct loop *l);
