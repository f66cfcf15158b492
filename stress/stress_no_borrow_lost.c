/* SPDX-License-Identifier: MIT
 *
 * What must stay true: what a read section has borrowed is there until the section ends, and what it took or
 * retained in it is there as long as it is held, however many looks of the detector pass meanwhile.
 *
 * Few roots, each with a small ring that has a cargo. Some threads linger in sections over what they borrowed, then
 * keep some of it, or take the cargo out of a ring that may be dying; some replace the rings all the time, some
 * collect all the time. Each thread changes its part after a while.
 */
#include "item.h"

#define ROOTS 4u
#define CARGO 2u
#define HANDS 4u
#define LINGER_NS 200000u

typedef cgc_ref(struct item) item_ref;

static item_ref roots[ROOTS];

struct hand {
	struct item *item;
	uint64_t number;
};

static item_ref *any_root(struct worker *worker)
{
	return &roots[below(worker, ROOTS)];
}

static void hand_drop(struct worker *worker, struct hand *hand)
{
	if (hand->item == NULL)
		return;
	CHECK_NUMBER(worker, hand->item, hand->number);
	cgc_release(hand->item);
	hand->item = NULL;
}

static void spend_time(struct worker *worker)
{
	uint64_t until = stress_now() + below(worker, LINGER_NS);
	bool yields = one_in(worker, 2);
	while (stress_now() < until)
		if (yields)
			sched_yield();
}

static void linger(struct worker *worker, struct hand *hand)
{
	struct item *kept = NULL, *cargo;
	uint64_t number, cargo_number = 0;
	hand_drop(worker, hand);
	cgc_read_lock();
	struct item *item = cgc_borrow(any_root(worker));
	if (item != NULL) {
		number = CHECK_ITEM(worker, item);
		cargo = cgc_borrow(&item->slot[CARGO]);
		if (cargo != NULL)
			cargo_number = CHECK_ITEM(worker, cargo);
		spend_time(worker);
		CHECK_NUMBER(worker, item, number);
		switch (below(worker, 4)) {
		case 0:
			kept = cgc_retain(item);
			break;
		case 1:
			kept = cgc_retain(cargo);
			break;
		case 2: /* the ring may be as good as dead: its cargo is not, from here on */
			kept = cgc_exchange(item, &item->slot[CARGO], NULL);
			break;
		default:
			break;
		}
		if (one_in(worker, 2))
			spend_time(worker);
		CHECK_NUMBER(worker, item, number);
		if (cargo != NULL)
			CHECK_NUMBER(worker, cargo, cargo_number);
	}
	cgc_read_unlock();
	hand->item = kept;
	if (kept != NULL)
		hand->number = CHECK_ITEM(worker, kept);
}

static void replace(struct worker *worker)
{
	struct item *ring = item_new_ring(worker, 1 + below(worker, 3)), *cargo = item_new(worker);
	if (one_in(worker, 2))
		cgc_store(cargo, &cargo->slot[0], cargo);
	cgc_store_consume(ring, &ring->slot[CARGO], cargo);
	cgc_store_consume(CGC_ROOT, any_root(worker), ring);
}

static void work(struct worker *worker)
{
	struct hand hands[HANDS] = {{.item = NULL}};
	while (stress_goes_on(worker)) {
		unsigned part = below(worker, 4);
		for (unsigned turns = 64; turns > 0 && stress_goes_on(worker); turns--) {
			worker->operations++;
			if (part == 0)
				cgc_collect(2);
			else if (part == 1)
				for (unsigned i = 0; i < 16; i++)
					replace(worker);
			else
				linger(worker, &hands[below(worker, HANDS)]);
		}
	}
	for (unsigned i = 0; i < HANDS; i++)
		hand_drop(worker, &hands[i]);
}

int main(void)
{
	stress_begin("stress_no_borrow_lost");
	struct worker sum = stress_run(work, 0);
	for (unsigned i = 0; i < ROOTS; i++)
		cgc_store(CGC_ROOT, &roots[i], NULL);
	return stress_end(&sum);
}
