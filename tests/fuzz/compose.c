/* SPDX-License-Identifier: MIT
 *
 * Operations that make objects: one, a ring, many in a row, and a ring in which a reference goes round.
 */
#include "world.h"

void compose_one(struct worker *worker, const struct op *op)
{
	unsigned more = op->d % 8 == 0 && op->d >= 0xf0 ? 1200 : op->d % 7;
	struct item *item = item_new(worker, op->b % KINDS, op->c, more, op->d % 2 == 0);
	if (item != NULL)
		hand_put(worker, op->a % HANDS, item, item->id);
}

/* Each refers to the one before by slot c, the first to the last. */
void compose_ring(struct worker *worker, const struct op *op)
{
	unsigned kind = op->b % KINDS;
	if (kind_is_acyclic(kind))
		return;
	struct item *first = item_new(worker, kind, op->c, op->d % 3, false);
	if (first == NULL)
		return;
	uint32_t id = first->id;
	hand_put(worker, op->a % HANDS, first, id);
	uint32_t last = id;
	for (unsigned length = op->d % 6; length > 0; length--) {
		struct item *item = item_new(worker, kind, op->c + length, op->d % 3, false);
		if (item == NULL)
			return;
		struct place place = place_of_slot(item, item->id, op->c % 4);
		REQUIRE(worker->temporaries < TEMPORARIES);
		worker->temporary[worker->temporaries++] = (struct hand){item, item->id};
		place_note(worker, &place, last);
		cgc_store(item, place.field, world.record[last].address);
		last = item->id;
		worker->temporaries--;
		hand_put(worker, op->a % HANDS, item, last);
	}
	struct place place = place_of_slot(world.record[id].address, id, op->c % 4);
	place_note(worker, &place, last);
	cgc_store(place.container, place.field, world.record[last].address);
}

/* New objects that push each other out of a root. */
void compose_storm(struct worker *worker, const struct op *op)
{
	struct place place = place_of_root(op->c % ROOTS);
	for (unsigned i = op->d % 16 + 1; i > 0; i--) {
		struct item *item = item_new(worker, op->b % KINDS, op->c, op->d % 3, true);
		if (item == NULL)
			return;
		hand_put(worker, op->a % HANDS, item, item->id);
		place_note(worker, &place, item->id);
		cgc_store(CGC_ROOT, place.field, item);
	}
}

static void link_items(struct worker *worker, struct item *from, unsigned slot, struct item *to)
{
	struct place place = place_of_slot(from, from->id, slot);
	place_note(worker, &place, to->id);
	cgc_store(from, place.field, to);
}

static struct item *new_temporary(struct worker *worker, unsigned kind)
{
	struct item *item = item_new(worker, kind, 0, 0, false);
	REQUIRE(item != NULL && worker->temporaries < TEMPORARIES);
	worker->temporary[worker->temporaries++] = (struct hand){item, item->id};
	return item;
}

static void drop_temporary(struct worker *worker)
{
	struct hand hand = worker->temporary[--worker->temporaries];
	cgc_release(hand.item);
}

/* From one slot into the other, through a reference of this thread. */
static void move(struct worker *worker, struct item *from, struct item *to)
{
	struct place source = place_of_slot(from, from->id, 2), target = place_of_slot(to, to->id, 2);
	place_note(worker, &source, 0);
	struct item *item = cgc_exchange(from, source.field, NULL);
	place_note(worker, &target, code_of(item, "exchange"));
	cgc_store_consume(to, target.field, item);
}

/* The hand's object refers to two others, which refer to each other; one of them refers to it, now this one, now that
 * one. Nothing but the hand holds them, and who copies the three must not take one reference for two. */
static struct item *turn(struct worker *worker, struct item *hub, unsigned turns)
{
	for (; turns > 0; turns--) {
		cgc_read_lock();
		struct item *one = cgc_borrow(&hub->slot[1]), *other = cgc_borrow(&one->slot[1]);
		item_identify(other, "carousel");
		if (turns % 2 == 0)
			move(worker, one, other);
		else
			move(worker, other, one);
		cgc_read_unlock();
	}
	return hub;
}

/* The hand goes from one member of the ring to the next, and for a moment nobody counts. */
static struct item *hop(struct worker *worker, struct item *item, unsigned turns)
{
	for (; turns > 0; turns--) {
		cgc_read_lock();
		struct item *next = cgc_borrow(&item->slot[1]);
		struct hand hand = {next, item_identify(next, "hop")};
		worker->borrowed[0] = hand;
		worker->temporary[worker->temporaries - 1] = (struct hand){0};
		cgc_release(item);
		for (unsigned i = turns % 64 * 4; i > 0; i--)
			atomic_signal_fence(memory_order_relaxed); /* a delay that stays in the program */
		item = cgc_retain(next);
		worker->temporary[worker->temporaries - 1] = hand;
		worker->borrowed[0] = (struct hand){0};
		cgc_read_unlock();
	}
	return item;
}

void compose_carousel(struct worker *worker, const struct op *op)
{
	unsigned kind = op->b % KINDS;
	if (!kind_has_slots(kind) || kind_is_acyclic(kind) || worker->depth > 0)
		return;
	struct item *hub = new_temporary(worker, kind), *one = new_temporary(worker, kind),
		    *other = new_temporary(worker, kind);
	link_items(worker, hub, 1, one);
	link_items(worker, one, 1, other);
	link_items(worker, other, 1, op->c % 2 == 0 ? one : hub);
	if (op->c % 2 == 0)
		link_items(worker, one, 2, hub);
	if (op->c % 4 < 2)
		cgc_publish(hub);
	else
		cgc_transfer(hub);
	drop_temporary(worker);
	drop_temporary(worker);
	unsigned turns = 8u << op->d % 8u;
	hub = op->c % 2 == 0 ? turn(worker, hub, turns) : hop(worker, hub, turns);
	if (item_identify(hub, "carousel") != worker->temporary[worker->temporaries - 1].id)
		VIOLATED("carousel: what is held is another object");
	worker->temporaries--;
	hand_put(worker, op->a % HANDS, hub, hub->id);
}

/* The hand's reference goes into what its object refers to, and closes a ring that nothing else holds. */
void compose_close(struct worker *worker, const struct op *op)
{
	struct hand *hand = hand_of(worker, op->a), old;
	if (hand == NULL || kind_is_acyclic(world.record[hand->id].kind))
		return;
	old = *hand;
	cgc_read_lock();
	struct place place = place_of_slot(old.item, old.id, op->b);
	struct item *next = cgc_borrow(place.field);
	int64_t code = code_of(next, "close");
	if (code > 0 && cgc_generation(next) == 2 && !kind_is_acyclic(world.record[code].kind)) {
		struct hand borrowed = worker->borrowed[0];
		worker->borrowed[0] = (struct hand){next, (uint32_t)code};
		*hand = (struct hand){0};
		place = place_of_slot(next, (uint32_t)code, op->c);
		place_note(worker, &place, old.id);
		cgc_store_consume(next, place.field, old.item);
		worker->borrowed[0] = borrowed;
	}
	cgc_read_unlock();
}
