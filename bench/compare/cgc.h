/* SPDX-License-Identifier: MIT
 *
 * The parts of the program of `make compare` that measures libcgc.
 */
#ifndef COMPARE_CGC_H
#define COMPARE_CGC_H

#include <cgc.h>

#include "harness.h"

struct node {
	cgc_ref(struct node) next;
	cgc_ref(struct node) other;
	char payload[PAYLOAD - 2 * sizeof(void *)];
};
extern struct cgc_type node_type;

struct leaf {
	char payload[PAYLOAD];
};
extern struct cgc_type leaf_type;

/* cgc_count.c */
void count_prepare(struct job *job);
uint64_t count_batch(struct job *job);
void hot_prepare(struct job *job);
uint64_t hot_batch(struct job *job);
uint64_t header_batch(struct job *job);

/* cgc_slots.c */
void slots_prepare(struct job *job);
uint64_t slots_batch(struct job *job);

/* cgc_request.c */
void request_prepare(struct job *job);
uint64_t requests_batch(struct job *job);
void request_finish(struct job *job);

/* cgc_rings.c */
struct node *ring_of(size_t length);
void rings_prepare(struct job *job);
uint64_t rings_batch(struct job *job);

/* cgc_old.c */
void beside_prepare(struct job *job);
uint64_t beside_batch(struct job *job);
uint64_t self_cycles_batch(struct job *job);

#endif
