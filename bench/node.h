/* SPDX-License-Identifier: MIT
 *
 * The object of the benchmarks.
 */
#ifndef BENCH_NODE_H
#define BENCH_NODE_H

#include <cgc.h>

#include "loops.h"

struct node {
	cgc_ref(struct node) next;
	cgc_ref(struct node) other;
	char payload[PAYLOAD - 2 * sizeof(void *)];
};

extern struct cgc_type node_type;

/* A ring of that many, owned and private. */
struct node *node_ring(size_t length);

#endif
