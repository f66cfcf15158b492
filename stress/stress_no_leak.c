/* SPDX-License-Identifier: MIT
 *
 * What must stay true: what nobody can reach any more is given back, exactly.
 *
 * Rounds: all threads change one graph; then they let go of everything and wait, each in its own way, while
 * one of them empties the roots, collects, and counts what is left: the list that is kept on purpose, and
 * nothing else. Every few rounds the threads end and others take their place.
 */
#include "graph.h"

#define ROUNDS_PER_THREAD 8u
#define STEPS_MOST 20000u

static pthread_barrier_t barrier;
static item_ref kept_list;
static uint64_t kept_length;  /* written between barriers by thread 0 alone */
static uint64_t quiet_points; /* the same */
static bool is_over;          /* the same */

/* A list that lives on from round to round, partly rebuilt in each: garbage next to what is not. */
static void change_kept_list(struct worker *worker)
{
	for (unsigned i = below(worker, 64); i > 0 && kept_length > 0; i--, kept_length--) {
		struct item *first = cgc_load(CGC_ROOT, &kept_list);
		CHECK_ITEM(worker, first);
		cgc_store_consume(CGC_ROOT, &kept_list, cgc_load(first, &first->slot[0]));
		cgc_release(first);
	}
	for (unsigned i = below(worker, 64); i > 0; i--, kept_length++) {
		struct item *first = item_new(worker);
		cgc_store_consume(first, &first->slot[0], cgc_load(CGC_ROOT, &kept_list));
		/* A ring with its successor: only counting from outside keeps it. */
		struct item *second = cgc_load(first, &first->slot[0]);
		if (second != NULL)
			cgc_store(second, &second->slot[1], first);
		cgc_release(second);
		cgc_store_consume(CGC_ROOT, &kept_list, first);
	}
}

static void verify_kept_list(struct worker *worker)
{
	uint64_t length = 0;
	cgc_read_lock();
	for (struct item *item = cgc_borrow(&kept_list); item != NULL; item = cgc_borrow(&item->slot[0])) {
		CHECK_ITEM(worker, item);
		length++;
	}
	cgc_read_unlock();
	if (length != kept_length)
		VIOLATED("the kept list has %" PRIu64 " items, expected %" PRIu64, length, kept_length);
}

/* Cuts the references backwards that change_kept_list() left on items it dropped. */
static void cut_backward_references(struct worker *worker)
{
	struct item *first = cgc_load(CGC_ROOT, &kept_list);
	if (first != NULL) {
		CHECK_ITEM(worker, first);
		cgc_store(first, &first->slot[1], NULL);
	}
	cgc_release(first);
}

static void inspect(struct worker *worker)
{
	graph_clear();
	cut_backward_references(worker);
	stress_expect_live(kept_length, "at a quiet point");
	verify_kept_list(worker);
	change_kept_list(worker);
	quiet_points++;
	is_over = stress_now() >= stress.deadline;
}

static void work(struct worker *worker)
{
	for (unsigned round = 0; round < ROUNDS_PER_THREAD && !is_over; round++) {
		struct hands hands = {.worker = worker};
		for (unsigned steps = 1 + below(worker, STEPS_MOST); steps > 0; steps--)
			graph_step(&hands);
		/* Threads at rest that hold what they hold, private, published and queued. */
		pthread_barrier_wait(&barrier);
		if (worker->index == 0 && cgc_debug_verify() != 0)
			VIOLATED("the heap at rest violates its invariants");
		pthread_barrier_wait(&barrier);
		hands_drop_all(&hands);
		/* Rings of its own that nobody else can see are the only garbage that waits for its thread. */
		unsigned way = below(worker, 3);
		if (way == 0)
			cgc_collect(1);
		else if (way == 1)
			cgc_park();
		else
			cgc_thread_detach();
		pthread_barrier_wait(&barrier);
		REQUIRE(worker->index != 0 || cgc_thread_attach() == 0);
		if (worker->index == 0)
			inspect(worker);
		pthread_barrier_wait(&barrier);
		REQUIRE(cgc_thread_attach() == 0);
		if (way == 1)
			cgc_unpark();
		else if (way == 2)
			cgc_thread_attach();
	}
}

int main(void)
{
	stress_begin("stress_no_leak");
	struct worker sum = {0};
	pthread_barrier_init(&barrier, NULL, stress.threads);
	for (uint64_t round = 0; !is_over; round++) {
		struct worker part = stress_run(work, round);
		sum.operations += part.operations;
		sum.checked += part.checked;
		struct worker self = {.index = 0};
		cut_backward_references(&self);
		stress_expect_live(kept_length, "after the threads ended");
		verify_kept_list(&self);
	}
	pthread_barrier_destroy(&barrier);
	printf("stress_no_leak: %" PRIu64 " quiet points, list of %" PRIu64 "\n", quiet_points, kept_length);
	cgc_store(CGC_ROOT, &kept_list, NULL);
	return stress_end(&sum);
}
