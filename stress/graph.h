/* SPDX-License-Identifier: MIT
 *
 * A shared graph that any number of threads read and change at once: an array of roots, items that refer to
 * each other in any way, a mailbox for pointers handed over outside of the library. Each call of graph_step()
 * does one random operation and verifies what it reads.
 */
#ifndef STRESS_GRAPH_H
#define STRESS_GRAPH_H

#include "item.h"

#define GRAPH_ROOTS 64u
#define GRAPH_HOT_ROOTS 4u
#define GRAPH_BALLAST 3000u
#define GRAPH_MAILBOXES 16u
#define GRAPH_HANDS 12u
#define GRAPH_WALK 10u
#define GRAPH_LIVE_LIMIT 150000u

typedef cgc_ref(struct item) item_ref;

static item_ref graph_roots[GRAPH_ROOTS];
/* A large part that hardly changes: looks of the detector that meet it take so long that much happens meanwhile. */
static item_ref graph_ballast;
/* Pointers to published items; each holds one reference. */
static _Atomic(struct item *) graph_mailbox[GRAPH_MAILBOXES];

/* A reference that a thread owns, and the number that the item must show until it is given back. */
struct hand {
	struct item *item;
	uint64_t number;
};

struct hands {
	struct worker *worker;
	struct hand hand[GRAPH_HANDS];
};

/* Half of the time one of a few, so that threads meet. */
static inline item_ref *any_root(struct worker *worker)
{
	return &graph_roots[below(worker, one_in(worker, 2) ? GRAPH_HOT_ROOTS : GRAPH_ROOTS)];
}

static inline unsigned any_slot(struct worker *worker)
{
	return below(worker, ITEM_SLOTS);
}

static inline struct hand *any_hand(struct hands *hands)
{
	return &hands->hand[below(hands->worker, GRAPH_HANDS)];
}

/* Any hand with an item in it, or NULL. */
static inline struct hand *any_full_hand(struct hands *hands)
{
	unsigned first = below(hands->worker, GRAPH_HANDS);
	for (unsigned i = 0; i < GRAPH_HANDS; i++) {
		struct hand *hand = &hands->hand[(first + i) % GRAPH_HANDS];
		if (hand->item != NULL)
			return hand;
	}
	return NULL;
}

static void hand_drop(struct hands *hands, struct hand *hand)
{
	if (hand->item == NULL)
		return;
	CHECK_NUMBER(hands->worker, hand->item, hand->number);
	cgc_release(hand->item);
	hand->item = NULL;
}

/* Takes over an owned reference. */
static void hand_take(struct hands *hands, struct item *item)
{
	struct hand *hand = any_hand(hands);
	hand_drop(hands, hand);
	hand->item = item;
	if (item != NULL)
		hand->number = CHECK_ITEM(hands->worker, item);
}

/* What the hand holds, owned by the caller; the hand is empty then. */
static struct item *hand_give(struct hands *hands, struct hand *hand)
{
	struct item *item = hand->item;
	CHECK_NUMBER(hands->worker, item, hand->number);
	hand->item = NULL;
	return item;
}

STRESS_UNUSED static void hands_drop_all(struct hands *hands)
{
	for (unsigned i = 0; i < GRAPH_HANDS; i++)
		hand_drop(hands, &hands->hand[i]);
}

/* Walks over borrowed pointers; what was seen at the start of the section must be there at its end. */
static void walk(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct hand seen[GRAPH_WALK];
	unsigned length = 0;
	cgc_read_lock();
	struct item *item = cgc_borrow(any_root(worker));
	while (item != NULL && length < GRAPH_WALK) {
		seen[length].item = item;
		seen[length++].number = CHECK_ITEM(worker, item);
		item = cgc_borrow(&item->slot[any_slot(worker)]);
	}
	if (one_in(worker, 16))
		sched_yield();
	for (unsigned i = 0; i < length; i++)
		CHECK_NUMBER(worker, seen[i].item, seen[i].number);
	struct item *kept = NULL;
	if (length > 0 && one_in(worker, 4))
		kept = cgc_retain(seen[below(worker, length)].item);
	cgc_read_unlock();
	if (kept != NULL)
		hand_take(hands, kept);
}

/* Takes references out of, and puts others into, containers that are only borrowed: they may die meanwhile. */
static void swap_in_borrowed(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct item *taken = NULL;
	struct hand *hand = any_full_hand(hands);
	cgc_read_lock();
	struct item *item = cgc_borrow(any_root(worker));
	for (unsigned i = below(worker, 4); i > 0 && item != NULL; i--)
		item = cgc_borrow(&item->slot[any_slot(worker)]);
	if (item != NULL) {
		uint64_t number = CHECK_ITEM(worker, item);
		unsigned slot = any_slot(worker);
		bool gives = hand != NULL && one_in(worker, 2);
		taken = cgc_exchange(item, &item->slot[slot], gives ? hand_give(hands, hand) : NULL);
		CHECK_NUMBER(worker, item, number);
	}
	cgc_read_unlock();
	if (taken != NULL)
		hand_take(hands, taken);
}

/* A child whose parent is dead, and which then leaves the root through which others see it: who borrowed it from
 * there must not lose it when the parent is buried. */
static void leave_to_dead_parent(struct hands *hands)
{
	struct worker *worker = hands->worker;
	item_ref *root = &graph_roots[below(worker, GRAPH_HOT_ROOTS)];
	struct item *parent = item_new(worker), *child = item_new(worker);
	cgc_store(parent, &parent->slot[0], child);
	cgc_store_consume(CGC_ROOT, root, child);
	cgc_publish(parent);
	cgc_release(parent);
	/* The burial comes after some grace periods: now or later. */
	for (unsigned yields = below(worker, 4); yields > 0; yields--)
		sched_yield();
	for (unsigned spins = below(worker, 4000); spins > 0; spins--)
		__asm__ volatile("");
	cgc_compare_exchange(CGC_ROOT, root, child, NULL);
}

/* Cuts a reference somewhere below a root: without this the graph would only grow. */
static void cut(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct item *item = cgc_load(CGC_ROOT, any_root(worker));
	for (unsigned i = below(worker, 4); i > 0 && item != NULL; i--) {
		struct item *next = cgc_load(item, &item->slot[any_slot(worker)]);
		cgc_release(item);
		item = next;
	}
	if (item == NULL)
		return;
	CHECK_ITEM(worker, item);
	unsigned slot = any_slot(worker);
	cgc_store(item, &item->slot[slot], NULL);
	if (one_in(worker, 2)) {
		unsigned other = any_slot(worker);
		cgc_store(item, &item->slot[other], NULL);
	}
	cgc_release(item);
}

/* Moves a reference from one item to another, in the two ways there are. */
static void move(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct hand *from = any_full_hand(hands), *to = any_full_hand(hands);
	if (from == NULL || to == NULL)
		return;
	unsigned source = any_slot(worker), target = any_slot(worker);
	struct item *item;
	if (one_in(worker, 2)) {
		item = cgc_exchange(from->item, &from->item->slot[source], NULL);
	} else {
		item = cgc_load(from->item, &from->item->slot[source]);
		cgc_store(from->item, &from->item->slot[source], NULL);
	}
	if (item != NULL)
		CHECK_ITEM(worker, item);
	cgc_store_consume(to->item, &to->item->slot[target], item);
}

/* Owned. A ring with a shortcut from each member to an earlier one. */
static struct item *ballast(struct worker *worker)
{
	struct item *first = cgc_load(CGC_ROOT, &graph_ballast);
	/* The threads take it apart in time. */
	if (first != NULL && !one_in(worker, 2000))
		return first;
	cgc_release(first);
	first = item_new(worker);
	struct item *last = first;
	for (unsigned i = 1; i < GRAPH_BALLAST; i++) {
		struct item *item = item_new(worker);
		cgc_store(item, &item->slot[1], one_in(worker, 2) ? first : last);
		cgc_store_consume(last, &last->slot[0], item);
		last = item; /* borrowed: the ring holds it */
	}
	cgc_store(last, &last->slot[0], first);
	cgc_store(CGC_ROOT, &graph_ballast, first);
	return first;
}

/* New items that refer to old ones: alone, a ring, a tree; private for a while or from then on shared. */
static void make(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct item *item;
	switch (below(worker, 4)) {
	case 0:
		item = item_new_ring(worker, 1 + below(worker, 12));
		break;
	case 1:
		item = item_new_tree(worker, 1 + below(worker, 4));
		break;
	default:
		item = item_new(worker);
		break;
	}
	struct hand *hand = any_full_hand(hands);
	if (hand != NULL && one_in(worker, 2))
		cgc_store(item, &item->slot[3], hand->item);
	else if (one_in(worker, 4))
		cgc_store_consume(item, &item->slot[3], ballast(worker));
	switch (below(worker, 4)) {
	case 0:
		cgc_store_consume(CGC_ROOT, any_root(worker), item);
		break;
	case 1:
		cgc_store(CGC_ROOT, any_root(worker), item);
		hand_take(hands, item);
		break;
	case 2:
		hand_take(hands, item);
		break;
	default:
		cgc_release(item);
		break;
	}
}

static void swap_root(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct hand *hand = any_full_hand(hands);
	item_ref *root = any_root(worker);
	if (hand == NULL)
		return;
	if (one_in(worker, 2)) {
		struct item *old = cgc_exchange(CGC_ROOT, root, hand_give(hands, hand));
		hand_take(hands, old);
		return;
	}
	/* The expected value is held, so the comparison is not open to ABA. */
	struct item *expected = cgc_load(CGC_ROOT, root);
	cgc_compare_exchange(CGC_ROOT, root, expected, hand->item);
	hand_take(hands, expected);
}

static void swap_slot(struct hands *hands)
{
	struct worker *worker = hands->worker;
	struct hand *container = any_full_hand(hands), *hand = any_full_hand(hands);
	if (container == NULL)
		return;
	struct item *object = container->item;
	unsigned slot = any_slot(worker);
	if (one_in(worker, 2)) {
		/* The container has to outlive the call, and its own hand may be the one that gives. */
		cgc_retain(object);
		struct item *old = cgc_exchange(object, &object->slot[slot], hand_give(hands, hand));
		hand_take(hands, old);
		cgc_release(object);
	} else {
		struct item *expected = cgc_load(object, &object->slot[slot]);
		if (cgc_compare_exchange(object, &object->slot[slot], expected, hand->item))
			CHECK_ITEM(worker, hand->item);
		hand_take(hands, expected);
	}
}

/* Hands a pointer over without the library's slots. */
static void post(struct hands *hands)
{
	struct worker *worker = hands->worker;
	_Atomic(struct item *) *mailbox = &graph_mailbox[below(worker, GRAPH_MAILBOXES)];
	struct hand *hand = any_full_hand(hands);
	struct item *item = NULL;
	if (hand != NULL && one_in(worker, 2)) {
		item = hand_give(hands, hand);
		if (one_in(worker, 2))
			cgc_transfer(item);
		else
			cgc_publish(item);
	}
	/* MAIL.w and MAIL.r: the item before its pointer. Pairs: itself, in another thread. */
	item = atomic_exchange_explicit(mailbox, item, memory_order_acq_rel);
	hand_take(hands, item);
}

static void collect_sometimes(struct hands *hands)
{
	struct worker *worker = hands->worker;
	switch (below(worker, 8)) {
	case 0:
		cgc_collect(2);
		break;
	case 1:
		cgc_park();
		sched_yield();
		cgc_unpark();
		break;
	case 2:
		/* Should the graph ever grow without bound, it dies as a whole. */
		if (stress_live() > GRAPH_LIVE_LIMIT)
			for (unsigned i = 0; i < GRAPH_ROOTS; i++)
				cgc_store(CGC_ROOT, &graph_roots[i], NULL);
		break;
	default:
		cgc_collect((int)below(worker, 2));
		break;
	}
}

STRESS_UNUSED static void graph_step(struct hands *hands)
{
	struct worker *worker = hands->worker;
	unsigned dice = below(worker, 1000);
	worker->operations++;
	if (dice < 250)
		walk(hands);
	else if (dice < 400)
		hand_take(hands, cgc_load(CGC_ROOT, any_root(worker)));
	else if (dice < 550)
		make(hands);
	else if (dice < 650)
		swap_root(hands);
	else if (dice < 720)
		swap_slot(hands);
	else if (dice < 800)
		move(hands);
	else if (dice < 830)
		post(hands);
	else if (dice < 870)
		swap_in_borrowed(hands);
	else if (dice < 890)
		leave_to_dead_parent(hands);
	else if (dice < 998)
		cut(hands);
	else
		collect_sometimes(hands);
}

/* Empties roots and mailboxes; the caller must be the only one who uses them. */
STRESS_UNUSED static void graph_clear(void)
{
	for (unsigned i = 0; i < GRAPH_ROOTS; i++)
		cgc_store(CGC_ROOT, &graph_roots[i], NULL);
	cgc_store(CGC_ROOT, &graph_ballast, NULL);
	for (unsigned i = 0; i < GRAPH_MAILBOXES; i++) {
		/* No order needed: the threads that wrote it have met at a barrier or are joined. */
		struct item *item = atomic_exchange_explicit(&graph_mailbox[i], NULL, memory_order_relaxed);
		cgc_release(item);
	}
}

#endif
